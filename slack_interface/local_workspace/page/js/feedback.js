// What the page says by itself: toasts, announcements for screen readers, yes/no dialogs.

import { h, icon, iconButton, uid } from "./dom.js";

const STAY_MS = 7000;

/** Where toasts go: inside the topmost dialog when there is one, as everything behind it is inert. */
function toastBox() {
  const host = [...document.querySelectorAll("dialog[open]")].at(-1) || document.body;
  const box = document.getElementById("toasts") || h("div", { id: "toasts", class: "toasts", role: "alert", "aria-live": "assertive" });
  if (box.parentElement !== host) host.append(box);
  return box;
}

/** A short notice in the corner; kind is "info" or "error". */
export function toast(text, kind = "info") {
  const box = toastBox();
  const same = [...box.children].find((n) => n.dataset.text === text);
  same?.remove();
  const note = h("div", { class: `toast toast-${kind}`, "data-testid": "toast", dataset: { text } },
    icon(kind === "error" ? "alert" : "info"), h("span", {}, text),
    iconButton("close", "Dismiss", () => note.remove()));
  box.append(note);
  setTimeout(() => note.remove(), STAY_MS);
}

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** Run a request; a refusal becomes a toast and gives null. */
export async function attempt(promise) {
  try {
    return await promise;
  } catch (error) {
    toast(error.message, "error");
    return null;
  }
}

/** Ask before doing; resolves true when confirmed. Texts are nodes or strings. */
export function confirmDialog({ title, text, confirm = "Yes", deny = "Cancel", danger = false }) {
  return new Promise((resolve) => {
    const id = uid("confirm");
    const finish = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const dialog = h("dialog", { class: "modal confirm", "aria-labelledby": id, "data-testid": "confirm" },
      h("header", { class: "modal-head" }, h("h2", { id }, title)),
      h("div", { class: "modal-body" }, text),
      h("footer", { class: "modal-foot" },
        h("button", { type: "button", class: "button", onclick: () => finish(false) }, deny),
        h("button", { type: "button", class: danger ? "button danger" : "button primary", autofocus: true, onclick: () => finish(true) }, confirm)));
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      finish(false);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
