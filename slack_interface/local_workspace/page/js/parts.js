// Small pieces drawn in several places: avatars, times, status lines, files.

import { BASE } from "./base.js";
import { h, icon } from "./dom.js";

export function avatar(person, size = "") {
  return h("span", { class: `avatar ${size}`, "aria-hidden": "true", style: { "--tone": person.color } },
    person.isBot || person.is_bot ? icon("bolt", "icon bot") : person.initials);
}

export const asDate = (ts) => new Date(Number(ts) * 1000);

export function clock(ts) {
  return asDate(ts).toLocaleTimeString("en", { hour: "numeric", minute: "2-digit" });
}

export function dayName(ts) {
  const day = asDate(ts);
  const days = Math.round((midnight(new Date()) - midnight(day)) / 86400000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return day.toLocaleDateString("en", { weekday: "long", month: "long", day: "numeric" });
}

function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

export const dayKey = (ts) => asDate(ts).toDateString();

/** "Virtuous6 is thinking…" with the app's own loading messages taking turns. */
export function statusLine(store, status) {
  const name = store.assistant.name || "The app";
  const words = status.loading_messages?.length ? status.loading_messages : null;
  const text = h("span", { class: "status-text" }, words ? words[0] : `${name} ${status.status}`);
  const line = h("div", { class: "status-line", "data-testid": "status" },
    h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), text);
  if (words && words.length > 1) rotate(line, text, words);
  return line;
}

const TURN_MS = 2500;
function rotate(line, text, words) {
  let at = 0;
  const timer = setInterval(() => {
    if (!line.isConnected) return clearInterval(timer);
    at = (at + 1) % words.length;
    text.textContent = words[at];
    return undefined;
  }, TURN_MS);
}

export function fileUrl(file) {
  return `${BASE}/_page/file/${encodeURIComponent(file.id)}/${encodeURIComponent(file.name || "file")}`;
}

export function fileSize(bytes) {
  if (!Number.isFinite(bytes)) return "";
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

export function fileCard(file) {
  const url = fileUrl(file);
  if ((file.mimetype || "").startsWith("image/") && file.mimetype !== "image/svg+xml") {
    return h("a", { class: "file-image", href: url, target: "_blank", rel: "noopener" },
      h("img", { src: url, alt: file.title || file.name || "shared image", loading: "lazy" }));
  }
  return h("a", { class: "file-card", href: url, target: "_blank", rel: "noopener", "data-testid": "file", download: file.name },
    icon("file", "icon file-icon"),
    h("span", { class: "file-words" }, h("strong", {}, file.title || file.name), h("small", {}, [file.filetype?.toUpperCase(), fileSize(file.size)].filter(Boolean).join(" · "))));
}
