// Between what a person types (@Ada Lovelace, #general) and what Slack stores (<@U0ADA>, <#C0GENERAL>).

import { escapeText, unescapeText } from "./inline.js";

function nameTable(store) {
  const rows = [];
  for (const user of store.users.values()) {
    for (const name of new Set([user.real_name, user.name])) if (name) rows.push([`@${name}`, `<@${user.id}>`]);
  }
  const { bot_user_id: bot, name } = store.assistant;
  if (bot && name) rows.push([`@${name}`, `<@${bot}>`]);
  for (const range of ["here", "channel", "everyone"]) rows.push([`@${range}`, `<!${range}>`]);
  for (const channel of store.channels) {
    if (channel.kind !== "im") rows.push([`#${channel.name}`, `<#${channel.id}|${channel.name}>`]);
  }
  return rows.sort((a, b) => b[0].length - a[0].length);
}

/** Typed text as Slack's client sends it. Code is left as it is, except for escaping. */
export function encode(store, typed) {
  const rows = nameTable(store);
  const pieces = typed.split(/(```[\s\S]*?```|`[^`\n]+`)/);
  return pieces.map((piece, i) => (i % 2 ? escapeText(piece) : encodePiece(rows, piece))).join("");
}

function encodePiece(rows, piece) {
  const lower = piece.toLowerCase();
  let out = "";
  let i = 0;
  while (i < piece.length) {
    const free = i === 0 || /[\s(\[{"'*_~]/.test(piece[i - 1]);
    const found = free && rows.find(([name]) => lower.startsWith(name.toLowerCase(), i) && !/[\w-]/.test(piece[i + name.length] || ""));
    const url = free && /^https?:\/\/[^\s<>]*[^\s<>.,:;!?)'"\]*_~]/.exec(piece.slice(i));
    if (found) {
      out += found[1];
      i += found[0].length;
    } else if (url) {
      out += `<${escapeText(url[0])}>`;
      i += url[0].length;
    } else {
      out += escapeText(piece[i]);
      i += 1;
    }
  }
  return out;
}

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

/** One line of plain words for previews and announcements. */
export function preview(store, message) {
  const text = message.text || firstText(message.blocks) || (message.files?.length ? `shared ${message.files[0].name}` : "");
  return decode(store, text).replace(/\s+/g, " ").replace(/[*_`~]/g, "").slice(0, 160);
}

function firstText(blocks) {
  const block = (blocks || []).find((b) => b.text);
  return typeof block?.text === "string" ? block.text : block?.text?.text || "";
}
