// Blocks and elements a person can act on: buttons, menus, choices, pickers, and the input block around them.

import { h, icon, uid } from "../dom.js";
import { confirmDialog } from "../feedback.js";
import { safeUrl } from "../inline.js";
import { plainText, renderText } from "../mrkdwn.js";
import { openMenu } from "../popover.js";
import { picture } from "./basic.js";
import { fileInput, textInput } from "./fields.js";
import { select } from "./selects.js";

export function actions(cx, block) {
  return h("div", { class: "actions" }, (block.elements || []).map((e) => element(cx, e)));
}

/** Send an action of `el` to the app, asking first when the element says so. */
export async function act(cx, el, extra) {
  if (el.confirm) {
    const c = el.confirm;
    const sure = await confirmDialog({
      title: c.title?.text || "Are you sure?", text: renderText(cx.store, c.text),
      confirm: c.confirm?.text || "Yes", deny: c.deny?.text || "Cancel", danger: c.style === "danger",
    });
    if (!sure) return;
  }
  await cx.app.interact({ ...cx.place, action: { type: el.type, action_id: el.action_id, block_id: cx.blockId, ...extra } });
}

/** Remember a changed value; outside an input block (or with dispatch_action) also tell the app. */
export function change(cx, el, value) {
  cx.app.values.set(cx.place, cx.blockId, el.action_id, value);
  if (!cx.inInput || cx.dispatch) act(cx, el, value);
}

export function element(cx, el) {
  const type = el.type.replace(/^multi_/, "");
  if (type.endsWith("_select")) return select(cx, el);
  const draw = ELEMENTS[el.type];
  return draw ? draw(cx, el) : h("span", { class: "quiet-note" }, icon("info"), `Element “${el.type}” is not known here.`);
}

function button(cx, el) {
  const style = el.style ? ` ${el.style}` : "";
  const label = el.text ? plainText(el.text) : el.value || "";
  const url = el.url && safeUrl(el.url);
  const node = url
    ? h("a", { class: `button${style}`, href: url, target: "_blank", rel: "noreferrer noopener" }, label, icon("link", "icon small"))
    : h("button", { type: "button", class: `button${style}` }, label);
  if (el.accessibility_label) node.setAttribute("aria-label", el.accessibility_label);
  node.addEventListener("click", async () => {
    if (node.getAttribute("aria-busy") === "true") return;
    node.setAttribute("aria-busy", "true");
    await act(cx, el, { value: el.value, text: el.text });
    node.removeAttribute("aria-busy");
  });
  return node;
}

function overflow(cx, el) {
  const node = h("button", { type: "button", class: "icon-button boxed", "aria-label": "More options", "aria-haspopup": "menu" }, icon("moreV"));
  node.addEventListener("click", () => openMenu(node, (el.options || []).map((option) => ({
    label: option.text.text,
    hint: option.description?.text,
    onpick: () => {
      if (option.url && safeUrl(option.url)) window.open(safeUrl(option.url), "_blank", "noreferrer");
      act(cx, el, { selected_option: option });
    },
  })), "More options"));
  return node;
}

function choices(cx, el) {
  const many = el.type === "checkboxes";
  const start = many
    ? { type: el.type, selected_options: el.initial_options || [] }
    : { type: el.type, selected_option: el.initial_option || null };
  const known = cx.app.values.begin(cx.place, cx.blockId, el.action_id, start);
  const chosen = new Set((many ? known.selected_options : [known.selected_option]).filter(Boolean).map((o) => o.value));
  const name = uid("choice");
  const picked = (input, option) => {
    if (many) {
      if (input.checked) chosen.add(option.value);
      else chosen.delete(option.value);
      change(cx, el, { type: el.type, selected_options: el.options.filter((o) => chosen.has(o.value)) });
    } else change(cx, el, { type: el.type, selected_option: option });
  };
  return h("div", { class: "choices", role: many ? "group" : "radiogroup", "aria-labelledby": cx.labelId }, (el.options || []).map((option) => {
    const input = h("input", { type: many ? "checkbox" : "radio", name, value: option.value, checked: chosen.has(option.value) });
    input.addEventListener("change", () => picked(input, option));
    return h("label", { class: "choice" }, input, h("span", {},
      h("span", { class: "text" }, renderText(cx.store, option.text)),
      option.description && h("small", {}, renderText(cx.store, option.description))));
  }));
}

const PICKERS = {
  datepicker: { input: "date", initial: "initial_date", field: "selected_date" },
  timepicker: { input: "time", initial: "initial_time", field: "selected_time" },
  datetimepicker: { input: "datetime-local", initial: "initial_date_time", field: "selected_date_time" },
};

function picker(cx, el) {
  const { input, initial, field } = PICKERS[el.type];
  const known = cx.app.values.begin(cx.place, cx.blockId, el.action_id, { type: el.type, [field]: el[initial] ?? null });
  const local = el.type === "datetimepicker";
  const node = h("input", {
    type: input, class: "field-input", id: cx.inputId, "aria-label": cx.inputId ? null : el.placeholder?.text || "Pick a date or time",
    value: local ? toLocal(known[field]) : known[field] || "",
  });
  node.addEventListener("change", () => {
    const value = local ? fromLocal(node.value) : node.value || null;
    change(cx, el, { type: el.type, [field]: value });
  });
  return node;
}

function toLocal(seconds) {
  if (!seconds) return "";
  const when = new Date(seconds * 1000);
  return new Date(when.getTime() - when.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

function fromLocal(text) {
  return text ? Math.floor(new Date(text).getTime() / 1000) : null;
}

const ELEMENTS = {
  button,
  workflow_button: button,
  overflow,
  checkboxes: choices,
  radio_buttons: choices,
  datepicker: picker,
  timepicker: picker,
  datetimepicker: picker,
  image: (cx, el) => picture(el, "accessory-image"),
  plain_text_input: textInput,
  rich_text_input: textInput,
  number_input: textInput,
  email_text_input: textInput,
  url_text_input: textInput,
  file_input: fileInput,
};

const LABELLED = new Set(["checkboxes", "radio_buttons"]);

export function input(cx, block) {
  const inputId = uid("input");
  const errorId = `${inputId}-error`;
  const inner = { ...cx, inInput: true, dispatch: block.dispatch_action, inputId, labelId: `${inputId}-label`, errorId, optional: block.optional };
  const control = element(inner, block.element);
  const label = [plainText(block.label), block.optional && h("span", { class: "optional" }, " (optional)")];
  const isGroup = LABELLED.has(block.element.type);
  return h("div", { class: "input-block" },
    isGroup ? h("div", { class: "input-label", id: inner.labelId }, label) : h("label", { class: "input-label", for: inputId, id: inner.labelId }, label),
    control,
    block.hint && h("div", { class: "input-hint" }, plainText(block.hint)),
    h("div", { class: "input-error", id: errorId, role: "alert", "data-testid": "input-error" }));
}
