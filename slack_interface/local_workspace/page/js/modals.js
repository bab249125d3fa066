// Modals: the top of the person's stack in one dialog; validation, errors by block, submit and close.

import { api } from "./api.js";
import { drawBlocks } from "./blocks/index.js";
import { fill, h, iconButton, uid } from "./dom.js";
import { attempt } from "./feedback.js";
import { plainText } from "./mrkdwn.js";
import { closeLayer, layerIsOpen } from "./popover.js";

/** Keeps the dialog equal to the top of store.modals. */
export class Modals {
  constructor(app) {
    this.app = app;
    this.store = app.store;
    this.dialog = null;
    this.view = null;
  }

  draw() {
    const top = this.store.modals.at(-1) || null;
    if (!top) return this.shut();
    if (!this.dialog) this.open();
    const isOther = this.view?.id !== top.id;
    const isChanged = this.view !== top;
    this.view = top;
    if (isOther) fill(this.body);
    if (isChanged || isOther) this.drawView(top, isOther);
    this.drawErrors(this.store.viewErrors.get(top.id) || {});
    return undefined;
  }

  open() {
    this.back = document.activeElement;
    const id = uid("modal");
    this.title = h("h2", { id });
    this.stack = h("span", { class: "modal-stack" });
    this.body = h("div", { class: "modal-body blocks" });
    this.foot = h("footer", { class: "modal-foot" });
    this.form = h("form", { class: "modal-form", novalidate: true },
      h("header", { class: "modal-head" }, this.stack, this.title, iconButton("close", "Close", () => this.close())),
      this.body, this.foot);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.dialog = h("dialog", { class: "modal", "aria-labelledby": id, "data-testid": "modal" }, this.form);
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      if (layerIsOpen()) closeLayer();
      else this.close();
    });
    document.body.append(this.dialog);
    this.dialog.showModal();
  }

  shut() {
    if (!this.dialog) return;
    this.dialog.close();
    this.dialog.remove();
    this.dialog = null;
    this.view = null;
    if (this.back?.isConnected) this.back.focus();
  }

  drawView(view, isOther) {
    const depth = this.store.modals.length;
    fill(this.title, plainText(view.title || { text: "" }));
    fill(this.stack, depth > 1 && iconButton("left", "Back", () => this.close()));
    this.dialog.dataset.viewId = view.id;
    drawBlocks(this.app, this.body, view.blocks || [], { view_id: view.id });
    const hasInput = (view.blocks || []).some((b) => b.type === "input");
    fill(this.foot,
      h("button", { type: "button", class: "button", onclick: () => this.close() }, view.close?.text || "Close"),
      (view.submit || hasInput) && (this.go = h("button", { type: "submit", class: "button primary" }, view.submit?.text || "Submit")));
    if (isOther) this.focusFirst();
  }

  focusFirst() {
    const field = this.body.querySelector("[autofocus]") || this.body.querySelector("input, textarea, .select");
    (field || this.foot.querySelector("button")).focus();
  }

  drawErrors(errors) {
    let first = null;
    for (const node of this.body.querySelectorAll(":scope > .block-input")) {
      const text = errors[node.dataset.blockId] || "";
      const slot = node.querySelector(".input-error");
      if (slot.textContent !== text) slot.textContent = text;
      node.classList.toggle("has-error", Boolean(text));
      const field = node.querySelector("input, textarea, .select");
      field?.setAttribute("aria-invalid", text ? "true" : "false");
      if (text && !first) first = field;
    }
    if (first && this.justSubmitted) first.focus();
    this.justSubmitted = false;
  }

  async submit() {
    const { view, store, app } = this;
    const place = { view_id: view.id };
    const values = app.values.shown(place, view.blocks || []);
    const missing = localErrors(view, values);
    this.justSubmitted = true;
    if (Object.keys(missing).length) return store.setViewErrors(view.id, missing);
    this.go.disabled = true;
    this.go.setAttribute("aria-busy", "true");
    const done = await attempt(api.submit({ view_id: view.id, user: store.me.id, values }));
    this.go.disabled = false;
    this.go.removeAttribute("aria-busy");
    if (done) this.answered(view, done);
    return undefined;
  }

  answered(view, done) {
    this.justSubmitted = true;
    if (done.response_action === "errors") this.store.setViewErrors(view.id, done.errors || {});
    else if (done.response_action === "clear") this.store.clearModals();
    else if (!done.response_action) {
      this.app.values.forget({ view_id: view.id });
      this.store.dropView(view.id);
    }
  }

  close() {
    const { view } = this;
    this.app.values.forget({ view_id: view.id });
    this.store.dropView(view.id);
    attempt(api.closeView(this.store.me.id, view.id));
  }
}

function isEmpty(value) {
  if (!value) return true;
  const kept = Object.entries(value).filter(([k]) => k !== "type").map(([, v]) => v);
  if (value.rich_text_value) return !value.rich_text_value.elements?.[0]?.elements?.length;
  return kept.every((v) => v === null || v === undefined || v === "" || (Array.isArray(v) && !v.length));
}

/** What the page itself can refuse: required fields and values of the wrong kind, by block id. */
function localErrors(view, values) {
  const errors = {};
  for (const block of view.blocks || []) {
    if (block.type !== "input") continue;
    const value = values[block.block_id]?.[block.element.action_id];
    const text = isEmpty(value)
      ? !block.optional && "Please fill this in."
      : wrongKind(block.element, value.value);
    if (text) errors[block.block_id] = text;
  }
  return errors;
}

function wrongKind(element, value) {
  if (element.type === "number_input") return wrongNumber(element, value);
  if (element.type === "email_text_input" && !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(value)) return "This is not an email address.";
  if (element.type === "url_text_input" && !/^[a-z][a-z0-9+.-]*:\/\/\S+$/i.test(value)) return "This is not a link. It should start with https://";
  if (element.min_length && value.length < element.min_length) return `At least ${element.min_length} characters, please.`;
  return null;
}

function wrongNumber(element, value) {
  const pattern = element.is_decimal_allowed ? /^-?\d+(\.\d+)?$/ : /^-?\d+$/;
  if (!pattern.test(value)) return element.is_decimal_allowed ? "This is not a number." : "Whole numbers only.";
  if (element.min_value !== undefined && Number(value) < Number(element.min_value)) return `At least ${element.min_value}, please.`;
  if (element.max_value !== undefined && Number(value) > Number(element.max_value)) return `At most ${element.max_value}, please.`;
  return null;
}
