// Sections, headers, images, context lines, videos, files, and what is not known.

import { BASE } from "../base.js";
import { h, icon } from "../dom.js";
import { link, safeUrl } from "../inline.js";
import { plainText, renderText } from "../mrkdwn.js";
import { element } from "./interactive.js";

export function section(cx, block) {
  return h("div", { class: "section" },
    h("div", { class: "section-words" },
      block.text && h("div", { class: "text" }, renderText(cx.store, block.text)),
      block.fields && h("div", { class: "fields" }, block.fields.map((f) => h("div", { class: "field text" }, renderText(cx.store, f))))),
    block.accessory && h("div", { class: "accessory" }, element(cx, block.accessory)));
}

export function header(cx, block) {
  return h("h3", { class: "block-title" }, plainText(block.text));
}

/** An image, when the page may load it (own host or data); otherwise a link that says what it is. */
export function picture(source, className) {
  const alt = source.alt_text || "";
  const url = source.slack_file?.id
    ? `${BASE}/_page/file/${encodeURIComponent(source.slack_file.id)}/image`
    : source.image_url || source.slack_file?.url || "";
  const own = url.startsWith("data:image/") || url.startsWith(`${BASE}/_page/file/`) || safeUrl(url)?.startsWith(location.origin);
  if (own) return h("img", { src: url, alt, class: className, loading: "lazy" });
  if (className !== "block-image") return h("span", { class: `${className} image-away`, role: "img", "aria-label": alt, title: alt }, icon("eye"));
  return h("span", { class: "image-link" }, icon("link"), link(url, alt || url));
}

export function image(cx, block) {
  return h("figure", { class: "image-figure" },
    block.title && h("figcaption", {}, plainText(block.title)), picture(block, "block-image"));
}

export function context(cx, block) {
  return h("div", { class: "context" }, (block.elements || []).map((e) =>
    e.type === "image" ? picture(e, "context-image") : h("span", { class: "text" }, renderText(cx.store, e))));
}

export function video(cx, block) {
  const address = block.title_url || block.video_url;
  return h("div", { class: "video" }, icon("play", "icon video-icon"), h("div", {},
    h("strong", {}, link(address, block.title?.text || address)),
    block.author_name && h("div", { class: "quiet" }, block.author_name),
    block.description && h("div", {}, plainText(block.description))));
}

export function file(cx, block) {
  return h("div", { class: "quiet-note" }, icon("file"), `File ${block.external_id || ""}`);
}

export function unknown(cx, block) {
  return h("div", { class: "quiet-note" }, icon("info"), `This page cannot show a block of type “${block.type}”.`);
}
