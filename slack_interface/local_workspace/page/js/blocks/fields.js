// Text, number, address and file fields.

import { api } from "../api.js";
import { fill, h, icon, iconButton } from "../dom.js";
import { attempt } from "../feedback.js";
import { fileSize } from "../parts.js";
import { act } from "./interactive.js";

const KINDS = { number_input: "text", email_text_input: "email", url_text_input: "url" };

export function textInput(cx, el) {
  const start = el.type === "rich_text_input" ? "" : el.initial_value ?? "";
  const known = cx.app.values.begin(cx.place, cx.blockId, el.action_id, valueOf(el, start));
  const many = el.multiline || el.type === "rich_text_input";
  const props = {
    class: "field-input", id: cx.inputId, placeholder: el.placeholder?.text, maxlength: el.max_length, minlength: el.min_length,
    autofocus: Boolean(el.focus_on_load), "aria-describedby": cx.errorId, "aria-required": cx.optional ? "false" : "true",
  };
  const node = many
    ? h("textarea", { ...props, rows: String(el.min_lines || 4) })
    : h("input", { ...props, type: KINDS[el.type] || "text", inputmode: el.type === "number_input" ? "decimal" : null });
  node.value = known.value ?? plainOf(known) ?? "";
  node.addEventListener("input", () => {
    cx.app.values.set(cx.place, cx.blockId, el.action_id, valueOf(el, node.value));
    if (triggers(el).includes("on_character_entered")) dispatch(cx, el, node.value);
  });
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || !cx.dispatch || !triggers(el).includes("on_enter_pressed")) return;
    event.preventDefault();
    dispatch(cx, el, node.value);
  });
  return node;
}

function triggers(el) {
  return el.dispatch_action_config?.trigger_actions_on || ["on_enter_pressed"];
}

function dispatch(cx, el, text) {
  if (cx.dispatch) act(cx, el, valueOf(el, text));
}

function valueOf(el, text) {
  if (el.type !== "rich_text_input") return { type: el.type, value: text === "" ? null : text };
  const elements = [{ type: "rich_text_section", elements: text ? [{ type: "text", text }] : [] }];
  return { type: el.type, rich_text_value: { type: "rich_text", elements } };
}

function plainOf(value) {
  return value.rich_text_value?.elements?.[0]?.elements?.map((e) => e.text || "").join("");
}

export function fileInput(cx, el) {
  const list = h("div", { class: "file-chips" });
  const files = cx.app.values.begin(cx.place, cx.blockId, el.action_id, { type: el.type, files: [] }).files;
  const accept = (el.filetypes || []).map((t) => `.${t}`).join(",");
  const picker = h("input", { type: "file", id: cx.inputId, class: "field-input", accept: accept || null, multiple: (el.max_files || 10) > 1 });
  const draw = () => fill(list, files.map((file, i) => h("span", { class: "file-chip" }, icon("file"), file.name, h("small", {}, fileSize(file.size)),
    iconButton("close", `Remove ${file.name}`, () => {
      files.splice(i, 1);
      draw();
    }))));
  picker.addEventListener("change", async () => {
    const done = await attempt(api.upload({ user: cx.store.me.id }, picker.files));
    if (done) files.push(...(done.files || []));
    files.splice(0, Math.max(0, files.length - (el.max_files || 10)));
    picker.value = "";
    draw();
  });
  draw();
  return h("div", {}, picker, list);
}
