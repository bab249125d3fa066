// Slack's own dialect: *bold*, _italic_, ~strike~, `code`, ```pre```, > quotes, <links|label>, <@U>, <#C>, <!here>.

import { h } from "./dom.js";
import {
  broadcastMention, channelMention, codeBlock, formatDate, link, safeUrl, unescapeText, userMention, withEmoji,
} from "./inline.js";

const TOKEN = /`([^`\n]+)`|<([^<>\n]+)>|(https?:\/\/[^\s<>]*[^\s<>.,:;!?)'"\]])/g;

/** A fragment of nodes for mrkdwn text. */
export function renderMrkdwn(store, text, { verbatim = false } = {}) {
  const out = document.createDocumentFragment();
  const parts = String(text ?? "").split(/```\n?([\s\S]*?)(?:\n?```|$)/);
  parts.forEach((part, i) => {
    if (i % 2) out.append(codeBlock(unescapeText(part)));
    else if (part) out.append(...lines(store, trimAround(part, i, parts.length), verbatim));
  });
  return out;
}

function trimAround(part, index, count) {
  let text = part;
  if (index > 0) text = text.replace(/^\n/, "");
  if (index < count - 1) text = text.replace(/\n$/, "");
  return text;
}

function lines(store, text, verbatim) {
  const out = [];
  let quote = null;
  let first = true;
  for (const line of text.split("\n")) {
    const quoted = /^(?:&gt;|>)\s?(.*)$/.exec(line);
    if (quoted) {
      if (!quote) out.push((quote = h("blockquote", { class: "quote" })));
      else quote.append(h("br"));
      quote.append(...inline(store, quoted[1], verbatim));
      first = true;
    } else {
      quote = null;
      if (!first) out.push(h("br"));
      out.push(...inline(store, line, verbatim));
      first = false;
    }
  }
  return out;
}

/** One line: tokens that must not be styled inside are taken out first, then styles are applied around them. */
export function inline(store, text, verbatim = false) {
  const held = [];
  const hold = (node) => `\u0001${held.push(node) - 1}\u0002`;
  const flat = text.replace(TOKEN, (whole, code, angle, url) => {
    if (code) return hold(h("code", {}, unescapeText(code)));
    if (angle) return hold(angleToken(store, angle));
    return verbatim ? whole : hold(link(unescapeText(url), unescapeText(url)));
  });
  return styled(flat, held);
}

function angleToken(store, body) {
  const [target, ...rest] = body.split("|");
  const label = unescapeText(rest.join("|"));
  if (target.startsWith("@")) return userMention(store, target.slice(1));
  if (target.startsWith("#")) return channelMention(store, target.slice(1), label);
  if (target.startsWith("!date^")) {
    const [, seconds, format, url] = target.split("^");
    const shown = formatDate(seconds, format || "{date}", label);
    return url ? link(url, shown) : h("time", {}, shown);
  }
  if (target.startsWith("!subteam")) return broadcastMention(label.replace(/^@/, "") || "group");
  if (target.startsWith("!")) return broadcastMention(target.slice(1));
  const address = unescapeText(target);
  if (!safeUrl(address) && !label) return `<${address}>`;
  return link(address, label || address.replace(/^mailto:/, ""));
}

const STYLED = /(^|[\s\u0001\u0002({["'*_~.,;:!?—–-])([*_~])(?=\S)((?:(?!\2).)*?\S)\2(?=$|[\s\u0001\u0002)}\]"'*_~.,;:!?—–-])/;
const TAGS = { "*": "strong", _: "em", "~": "s" };

function styled(text, held) {
  const match = STYLED.exec(text);
  if (!match) return plain(text, held);
  const start = match.index + match[1].length;
  const end = match.index + match[0].length;
  return [
    ...plain(text.slice(0, start), held),
    h(TAGS[match[2]], {}, styled(match[3], held)),
    ...styled(text.slice(end), held),
  ];
}

function plain(text, held) {
  return text.split(/(\u0001\d+\u0002)/).flatMap((piece) => {
    const ref = /^\u0001(\d+)\u0002$/.exec(piece);
    return ref ? [held[Number(ref[1])]] : withEmoji(unescapeText(piece));
  });
}

/** A text object of Block Kit: plain_text or mrkdwn. */
export function renderText(store, object) {
  if (object === null || object === undefined) return "";
  if (typeof object === "string") return renderMrkdwn(store, object);
  if (object.type === "mrkdwn") return renderMrkdwn(store, object.text, { verbatim: object.verbatim });
  if (object.type === "rich_text") return null;
  return plainText(object);
}

export function plainText(object) {
  const fragment = document.createDocumentFragment();
  const text = object.text ?? "";
  fragment.append(...(object.emoji === false ? [text] : withEmoji(text)));
  return fragment;
}
