// Blocks that hold others or frame a text: alerts, cards, carousels, containers.

import { h, icon, iconButton, uid } from "../dom.js";
import { plainText, renderText } from "../mrkdwn.js";
import { renderRichText } from "../richtext.js";
import { picture } from "./basic.js";
import { element } from "./interactive.js";

const SIGNS = { error: "alert", warning: "alert", success: "check", info: "info", default: "info" };

export function alertBlock(cx, block) {
  const level = block.level || "default";
  return h("div", { class: `alert alert-${level}`, role: "note" },
    icon(SIGNS[level] || "info"), h("div", { class: "text" }, renderText(cx.store, block.text)));
}

export function card(cx, block) {
  return h("article", { class: "card" },
    block.hero_image && picture(block.hero_image, "card-hero"),
    h("div", { class: "card-head" },
      block.icon && picture(block.icon, "card-icon"),
      h("div", {},
        block.title && h("strong", { class: "card-title" }, renderText(cx.store, block.title)),
        block.subtitle && h("div", { class: "quiet" }, renderText(cx.store, block.subtitle)))),
    block.body && h("div", { class: "card-body text" }, renderText(cx.store, block.body)),
    block.actions?.length > 0 && h("div", { class: "actions" }, block.actions.map((a) => element(cx, a))));
}

export function carousel(cx, block) {
  const track = h("div", { class: "carousel-track", role: "group", "aria-label": "Cards", tabindex: "0" },
    (block.elements || []).map((c) => card(cx, c)));
  const move = (sign) => track.scrollBy({ left: sign * 260, behavior: "smooth" });
  return h("div", { class: "carousel" }, track, h("div", { class: "carousel-moves" },
    iconButton("left", "Previous card", () => move(-1)), iconButton("right", "Next card", () => move(1))));
}

export function container(cx, block) {
  const bodyId = uid("container");
  const open = !(block.is_collapsible && block.default_collapsed);
  const title = block.rich_text_title ? renderRichText(cx.store, block.rich_text_title) : block.title && plainText(block.title);
  const words = h("span", { class: "container-words" }, h("span", { class: "container-title" }, title),
    block.subtitle && h("span", { class: "quiet" }, renderText(cx.store, block.subtitle)));
  const body = h("div", { class: "container-body", id: bodyId, hidden: !open }, (block.child_blocks || []).map((b, i) => cx.renderBlock(cx, b, `${cx.blockId}-${i}`)));
  const lead = block.icon && picture(block.icon, "card-icon");
  const head = block.is_collapsible
    ? h("button", { type: "button", class: "container-head", "aria-expanded": String(open), "aria-controls": bodyId, onclick: () => fold() }, lead, words, icon("down", "icon fold"))
    : h("div", { class: "container-head" }, lead, words);
  const fold = () => {
    body.hidden = !body.hidden;
    head.setAttribute("aria-expanded", String(!body.hidden));
  };
  return h("section", { class: `container width-${block.width || "standard"}${block.has_header_divider ? " divided" : ""}` }, head, body);
}
