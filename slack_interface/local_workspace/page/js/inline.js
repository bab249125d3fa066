// Pieces of text shared by the three text dialects: links, mentions, emoji, dates.

import { h } from "./dom.js";
import { emojiSign } from "./emoji.js";

const SAFE_SCHEMES = new Set(["http:", "https:", "mailto:", "slack:", "tel:"]);

/** The address when it is one a link may open, otherwise null (javascript:, data: and the like). */
export function safeUrl(address) {
  try {
    const url = new URL(address);
    return SAFE_SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

export function link(address, ...children) {
  const href = safeUrl(address);
  if (!href) return h("span", {}, children);
  return h("a", { href, target: "_blank", rel: "noreferrer noopener" }, children);
}

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };
export function unescapeText(text) {
  return text.replace(/&(?:amp|lt|gt);/g, (e) => ENTITIES[e]);
}

export function userMention(store, id) {
  const user = store.user(id);
  const name = id === store.assistant.bot_user_id ? store.assistant.name : user?.real_name || user?.name || id;
  const mine = store.me && id === store.me.id;
  return h("span", { class: mine ? "mention mention-me" : "mention", dataset: { user: id } }, `@${name}`);
}

export function channelMention(store, id, label) {
  const channel = store.channel(id);
  const name = `#${channel ? channel.name : label || id}`;
  if (!channel) return h("span", { class: "mention" }, name);
  return h("a", { class: "mention", href: `#user=${store.me.id}&channel=${id}` }, name);
}

export function broadcastMention(range) {
  return h("span", { class: "mention mention-me" }, `@${range}`);
}

export function emojiNode(name, fallback) {
  const sign = fallback || emojiSign(name);
  if (!sign) return `:${name}:`;
  return h("span", { class: "emoji", role: "img", "aria-label": name.replaceAll("_", " "), title: `:${name}:` }, sign);
}

/** Text with :names: of known emoji replaced; everything else as it is. */
export function withEmoji(text) {
  const out = [];
  let last = 0;
  for (const match of text.matchAll(/:([a-z0-9_+-]+)(?:::skin-tone-\d)?:/g)) {
    if (!emojiSign(match[1])) continue;
    out.push(text.slice(last, match.index), emojiNode(match[1]));
    last = match.index + match[0].length;
  }
  out.push(text.slice(last));
  return out;
}

const WORDS = {
  date: { year: "numeric", month: "long", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  time: { hour: "numeric", minute: "2-digit" },
  time_secs: { hour: "numeric", minute: "2-digit", second: "2-digit" },
};

/** Slack's date tokens ({date}, {time}, {date_short_pretty}, {ago} ...) for a Unix time. */
export function formatDate(seconds, format, fallback) {
  const when = new Date(Number(seconds) * 1000);
  if (Number.isNaN(when.getTime())) return fallback || format;
  return format.replace(/\{(\w+)\}/g, (whole, token) => {
    const name = token.replace(/_pretty$/, "");
    if (token === "ago") return ago(when);
    if (name === "day_divider_pretty" || name === "day_divider") return when.toLocaleDateString("en", WORDS.date_long);
    if (!(name in WORDS)) return whole;
    return new Intl.DateTimeFormat("en", WORDS[name]).format(when);
  });
}

function ago(when) {
  const minutes = Math.round((Date.now() - when.getTime()) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 60 * 24) return `${Math.round(minutes / 60)} h ago`;
  return `${Math.round(minutes / 1440)} days ago`;
}

export function codeBlock(text, language) {
  const copy = h("button", {
    type: "button",
    class: "code-copy",
    "aria-label": "Copy code",
    onclick: async () => {
      await navigator.clipboard?.writeText(text);
      copy.textContent = "Copied";
    },
  }, "Copy");
  return h("div", { class: "code-block" },
    language && h("span", { class: "code-language" }, language),
    h("pre", { tabindex: "0" }, h("code", {}, text)),
    copy,
  );
}
