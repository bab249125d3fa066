// rich_text blocks: sections, lists, quotes, preformatted text and their inline parts.

import { h } from "./dom.js";
import {
  broadcastMention, channelMention, codeBlock, emojiNode, formatDate, link, userMention, withEmoji,
} from "./inline.js";

export function renderRichText(store, block) {
  return h("div", { class: "rich-text" }, groupLists(store, block.elements || []));
}

function groupLists(store, elements) {
  return elements.map((element) => part(store, element));
}

function part(store, element) {
  const inner = () => (element.elements || []).flatMap((e) => piece(store, e));
  switch (element.type) {
    case "rich_text_list": return list(store, element);
    case "rich_text_quote": return h("blockquote", { class: "quote" }, inner());
    case "rich_text_preformatted": return codeBlock((element.elements || []).map((e) => e.text || e.url || "").join(""));
    default: return h("div", { class: "rich-section" }, inner());
  }
}

function list(store, element) {
  const tag = element.style === "ordered" ? "ol" : "ul";
  const props = { style: { "margin-left": `${(element.indent || 0) * 1.5}rem` }, dataset: { indent: element.indent || 0 } };
  if (tag === "ol" && element.offset) props.start = element.offset + 1;
  return h(tag, props, (element.elements || []).map((item) => h("li", {}, (item.elements || []).flatMap((e) => piece(store, e)))));
}

function piece(store, element) {
  return [decorate(content(store, element), element.style || {})];
}

function content(store, element) {
  switch (element.type) {
    case "text": return textWithBreaks(element.text || "");
    case "link": return link(element.url, element.text || element.url);
    case "emoji": return emojiNode(element.name, fromUnicode(element.unicode));
    case "user": return userMention(store, element.user_id);
    case "channel": return channelMention(store, element.channel_id);
    case "broadcast": return broadcastMention(element.range);
    case "usergroup": return broadcastMention(element.usergroup_id);
    case "team": return broadcastMention(element.team_id);
    case "date": return dateNode(element);
    case "color": return h("span", { class: "swatch-text" }, h("i", { class: "swatch", style: { background: element.value } }), element.value);
    default: return element.text || element.fallback || "";
  }
}

function dateNode(element) {
  const shown = formatDate(element.timestamp, element.format || "{date}", element.fallback);
  return element.url ? link(element.url, shown) : h("time", {}, shown);
}

function fromUnicode(codes) {
  if (!codes) return null;
  return codes.split("-").map((c) => String.fromCodePoint(parseInt(c, 16))).join("");
}

function textWithBreaks(text) {
  return text.split("\n").flatMap((line, i) => [i ? h("br") : "", ...withEmoji(line)]);
}

function decorate(nodes, style) {
  let out = nodes;
  for (const [key, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"], ["underline", "u"]]) {
    if (style[key]) out = h(tag, {}, out);
  }
  return out;
}
