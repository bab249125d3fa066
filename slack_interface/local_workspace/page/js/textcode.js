// From what Slack stores (<@U0ADA>, <#C0GENERAL>, &amp;) to what a person reads; the server does the other way.

import { unescapeText } from "./inline.js";

/** Stored text as a person would type it, for editing. */
export function decode(store, stored) {
  const text = stored.replace(/<([^<>\n]+)>/g, (whole, body) => {
    const [target, label] = body.split("|");
    if (target.startsWith("@")) return `@${nameOf(store, target.slice(1))}`;
    if (target.startsWith("#")) return `#${store.channel(target.slice(1))?.name || label || target.slice(1)}`;
    if (target.startsWith("!")) return `@${target.slice(1)}`;
    return target;
  });
  return unescapeText(text);
}

function nameOf(store, id) {
  if (id === store.assistant.bot_user_id) return store.assistant.name;
  const user = store.user(id);
  return user?.real_name || user?.name || id;
}

const PAIRED = /(?<!\w)(\*\*|__|~~|`|\*|_)(?=\S)(.+?)(?<=\S)\1(?!\w)/g;

/** All text of a message as a person would type it. */
export function fullText(store, message) {
  const text = message.text || firstText(message.blocks) || (message.files?.length ? `shared ${message.files[0].name}` : "");
  return decode(store, text);
}

/** One line of plain words for previews and announcements. */
export function preview(store, message) {
  return fullText(store, message).replace(/^\s*(?:#{1,6}|>|[-*+]|\d+\.)\s+/gm, "").replace(/\s+/g, " ").replace(PAIRED, "$2").slice(0, 160);
}

function firstText(blocks) {
  const block = (blocks || []).find((b) => b.text);
  return typeof block?.text === "string" ? block.text : block?.text?.text || "";
}
