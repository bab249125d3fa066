// Standard markdown (the "markdown" block) to DOM nodes: headings, lists, tasks, quotes, tables, code, links, emphasis.

import { h } from "./dom.js";
import { channelMention, codeBlock, link, safeUrl, userMention, withEmoji } from "./inline.js";

const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(?:\s+(.*)|)$/;
const DELIMITER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

/** A fragment of nodes for markdown text; text that is still arriving (an open fence) is shown as far as it goes. */
export function renderMarkdown(store, text) {
  const out = document.createDocumentFragment();
  const lines = String(text ?? "").replace(/\r\n?/g, "\n").split("\n");
  try {
    out.append(...blocks(store, lines));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    out.append(h("p", {}, lines.flatMap((line, n) => [n ? h("br") : "", line])));  // nested too deeply to draw
  }
  return out;
}

function blocks(store, lines) {
  const out = [];
  let i = 0;
  while (i < lines.length) {
    if (!lines[i].trim()) {
      i += 1;
      continue;
    }
    const [node, next] = oneBlock(store, lines, i);
    out.push(node);
    i = next;
  }
  return out;
}

function oneBlock(store, lines, i) {
  const line = lines[i];
  if (FENCE.test(line)) return fence(lines, i);
  const heading = HEADING.exec(line);
  if (heading) return [h(`h${Math.min(heading[1].length + 2, 6)}`, { class: `md-h md-h${heading[1].length}` }, inline(store, heading[2])), i + 1];
  if (RULE.test(line)) return [h("hr"), i + 1];
  if (QUOTE.test(line)) return quote(store, lines, i);
  if (isTable(lines, i)) return table(store, lines, i);
  if (ITEM.test(line)) return list(store, lines, i);
  return paragraph(store, lines, i);
}

function fence(lines, start) {
  const [, , mark, language] = FENCE.exec(lines[start]);
  const body = [];
  let i = start + 1;
  while (i < lines.length && !(lines[i].trim().startsWith(mark) && !lines[i].trim().replaceAll(mark[0], ""))) {
    body.push(lines[i]);
    i += 1;
  }
  return [codeBlock(body.join("\n"), language), i + 1];
}

function quote(store, lines, start) {
  const body = [];
  let i = start;
  while (i < lines.length && lines[i].trim()) {
    const quoted = QUOTE.exec(lines[i]);
    if (!quoted && startsBlock(lines, i)) break;
    body.push(quoted ? quoted[1] : lines[i]);
    i += 1;
  }
  return [h("blockquote", { class: "quote" }, blocks(store, body)), i];
}

function isTable(lines, i) {
  const next = lines[i + 1];
  return lines[i].includes("|") && next !== undefined && next.includes("-") && DELIMITER.test(next)
    && cells(next).length === cells(lines[i]).length;
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function table(store, lines, start) {
  const head = cells(lines[start]);
  const aligns = cells(lines[start + 1]).map((c) =>
    c.startsWith(":") && c.endsWith(":") ? "center" : c.endsWith(":") ? "right" : "left");
  const rows = [];
  let i = start + 2;
  while (i < lines.length && lines[i].trim() && lines[i].includes("|")) {
    rows.push(cells(lines[i]));
    i += 1;
  }
  const cell = (tag, props) => (text, col) =>
    h(tag, { ...props, style: { "text-align": aligns[col] || "left" } }, inline(store, text ?? ""));
  const node = h("div", { class: "table-scroll", tabindex: "0" }, h("table", { class: "data" },
    h("thead", {}, h("tr", {}, head.map(cell("th", { scope: "col" })))),
    h("tbody", {}, rows.map((row) => h("tr", {}, head.map((_, c) => cell("td", {})(row[c], c))))),
  ));
  return [node, i];
}

function list(store, lines, start) {
  const [, indent, marker] = ITEM.exec(lines[start]);
  const ordered = /\d/.test(marker);
  const node = ordered ? h("ol", { start: parseInt(marker, 10) }) : h("ul");
  let i = start;
  while (i < lines.length) {
    const item = ITEM.exec(lines[i]);
    if (!item || item[1].length !== indent.length || /\d/.test(item[2]) !== ordered || RULE.test(lines[i])) break;
    const offset = lines[i].length - (item[3] ?? "").length;
    const [body, next] = itemBody(lines, i, item[3] ?? "", Math.min(offset, indent.length + 2));
    node.append(listItem(store, body));
    i = next;
  }
  return [node, i];
}

function itemBody(lines, start, first, indent) {
  const body = [first];
  let i = start + 1;
  while (i < lines.length) {
    const depth = lines[i].length - lines[i].trimStart().length;
    if (!lines[i].trim()) {
      const after = lines[i + 1];
      if (!after?.trim() || after.length - after.trimStart().length < indent) {
        if (after !== undefined && ITEM.test(after)) return [body, i + 1];
        break;
      }
      body.push("");
    } else if (depth >= indent) body.push(lines[i].slice(indent));
    else if (startsBlock(lines, i)) break;
    else body.push(lines[i].trim());
    i += 1;
  }
  return [body, i];
}

function listItem(store, body) {
  const task = /^\[([ xX])\]\s+(.*)$/.exec(body[0]);
  const li = h("li", task ? { class: "task" } : {});
  if (task) {
    li.append(h("input", { type: "checkbox", disabled: true, checked: task[1] !== " ", "aria-label": task[1] === " " ? "open" : "done" }), " ");
    body[0] = task[2];
  }
  const inner = blocks(store, body);
  for (const node of inner) {
    if (node.tagName === "P" && inner.filter((n) => n.tagName === "P").length === 1) li.append(...node.childNodes);
    else li.append(node);
  }
  return li;
}

function startsBlock(lines, i) {
  const line = lines[i];
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line) || isTable(lines, i);
}

function paragraph(store, lines, start) {
  const body = [];
  let i = start;
  while (i < lines.length && lines[i].trim() && (i === start || !startsBlock(lines, i))) {
    body.push(lines[i]);
    i += 1;
  }
  const nodes = body.flatMap((line, n) => [n ? h("br") : "", ...inline(store, line.trim())]);
  return [h("p", {}, nodes), i];
}

const INLINE = new RegExp([
  /(?<code>(?<!`)(`+)(?!`)([\s\S]*?[^`])\2(?!`))/,
  /(?<image>!\[([^\]]*)\]\(([^()\s]+)(?:\s+"[^"]*")?\))/,
  /(?<link>\[((?:[^[\]]|\[[^\]]*\])+)\]\(([^()\s]*(?:\([^()\s]*\))?[^()\s]*)(?:\s+"[^"]*")?\))/,
  /(?<auto><((?:https?:\/\/|mailto:)[^\s<>|]+)(?:\|([^<>]*))?>)/,
  /(?<mention><([@#])([A-Z0-9]+)(?:\|[^>]*)?>)/,
  /(?<url>https?:\/\/[^\s<>]*[^\s<>.,:;!?)'"\]*_~])/,
  /(?<escape>\\([\\`*_{}[\]()#+\-.!|~<>]))/,
].map((r) => r.source).join("|"), "g");

/** Emphasis, code, links and emoji of one run of text. */
export function inline(store, text) {
  const held = [];
  const hold = (node) => `\u0001${held.push(node) - 1}\u0002`;
  const flat = text.replace(INLINE, (...args) => hold(token(store, args[0], args.at(-1))));
  return emphasis(flat, held);
}

function token(store, whole, groups) {
  if (groups.code) return h("code", {}, whole.replace(/^`+|`+$/g, "").replace(/^ (.*) $/, "$1"));
  if (groups.image) {
    const [, alt, url] = /^!\[([^\]]*)\]\(([^()\s]+)/.exec(whole);
    return link(url, alt || url);
  }
  if (groups.link) {
    const cut = whole.lastIndexOf("](");
    const url = whole.slice(cut + 2, -1).split(/\s/)[0];
    return safeUrl(url) ? link(url, inline(store, whole.slice(1, cut))) : h("span", {}, inline(store, whole.slice(1, cut)));
  }
  if (groups.auto) {
    const [url, label] = whole.slice(1, -1).split("|");
    return link(url, label || url.replace(/^mailto:/, ""));
  }
  if (groups.mention) {
    const id = whole.slice(2, -1).split("|")[0];
    return whole[1] === "@" ? userMention(store, id) : channelMention(store, id);
  }
  if (groups.url) return link(whole, whole);
  return whole.slice(1);
}

const EMPHASIS = [
  [/\*\*\*(?=\S)([\s\S]*?\S)\*\*\*/, (inner) => h("strong", {}, h("em", {}, inner))],
  [/\*\*(?=\S)([\s\S]*?\S)\*\*(?!\*)/, (inner) => h("strong", {}, inner)],
  [/(?<![\w_])__(?=\S)([\s\S]*?\S)__(?![\w_])/, (inner) => h("strong", {}, inner)],
  [/~~(?=\S)([\s\S]*?\S)~~/, (inner) => h("s", {}, inner)],
  [/(?<!\*)\*(?=[^\s*])([^*]*[^\s*])\*(?!\*)/, (inner) => h("em", {}, inner)],
  [/(?<![\w_])_(?=[^\s_])([^_]*[^\s_]|[^\s_])_(?![\w_])/, (inner) => h("em", {}, inner)],
];

function emphasis(text, held) {
  let best = null;
  for (const [pattern, make] of EMPHASIS) {
    const match = pattern.exec(text);
    if (match && (!best || match.index < best.match.index)) best = { match, make };
  }
  if (!best) return plain(text, held);
  const { match, make } = best;
  return [
    ...plain(text.slice(0, match.index), held),
    make(emphasis(match[1], held)),
    ...emphasis(text.slice(match.index + match[0].length), held),
  ];
}

const NAMED = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&nbsp;": "\u00a0" };

function plain(text, held) {
  return text.split(/(\u0001\d+\u0002)/).flatMap((piece) => {
    const ref = /^\u0001(\d+)\u0002$/.exec(piece);
    if (ref) return [held[Number(ref[1])]];
    return withEmoji(piece.replace(/&(?:amp|lt|gt|quot|nbsp|#39);/g, (e) => NAMED[e]));
  });
}
