// What assistants add: task cards, plans, feedback and icon buttons under an answer.

import { fill, h, hasIcon, icon } from "../dom.js";
import { link } from "../inline.js";
import { renderMarkdown } from "../markdown.js";
import { renderRichText } from "../richtext.js";
import { act } from "./interactive.js";

const STATUS = {
  pending: { icon: "more", words: "waiting" },
  in_progress: { icon: "refresh", words: "in progress" },
  complete: { icon: "check", words: "done" },
  error: { icon: "alert", words: "failed" },
};

function richOrText(store, value) {
  if (!value) return null;
  if (typeof value === "string") return h("div", { class: "markdown" }, renderMarkdown(store, value));
  return value.type === "rich_text" ? renderRichText(store, value) : h("div", {}, value.text || "");
}

export function taskCard(cx, block) {
  const status = STATUS[block.status] || STATUS.pending;
  const sources = block.sources || [];
  const body = [
    block.details && h("div", { class: "task-details" }, richOrText(cx.store, block.details)),
    block.output && h("div", { class: "task-output" }, richOrText(cx.store, block.output)),
    sources.length > 0 && h("div", { class: "task-sources" }, sources.map((s) => link(s.url, s.text || s.url))),
  ].filter(Boolean);
  const head = [
    h("span", { class: `task-state ${block.status}`, role: "img", "aria-label": status.words }, icon(status.icon)),
    h("span", { class: "task-title" }, block.title || block.task_id),
  ];
  if (!body.length) return h("div", { class: "task-card" }, h("div", { class: "task-head" }, head));
  return h("details", { class: "task-card", open: block.status !== "complete" }, h("summary", { class: "task-head" }, head, icon("down", "icon fold")), h("div", { class: "task-body" }, body));
}

export function plan(cx, block) {
  const tasks = block.tasks || [];
  const done = tasks.filter((t) => t.status === "complete").length;
  const title = typeof block.title === "string" ? block.title : block.title?.text;
  return h("div", { class: "plan" },
    h("div", { class: "plan-head" }, h("strong", {}, title || "Plan"), tasks.length > 0 && h("span", { class: "quiet" }, `${done} of ${tasks.length}`)),
    h("ol", { class: "plan-tasks" }, tasks.map((t) => h("li", {}, taskCard(cx, t)))));
}

export function contextActions(cx, block) {
  return h("div", { class: "context-actions" }, (block.elements || [])
    .filter((e) => !e.visible_to_user_ids || e.visible_to_user_ids.includes(cx.store.me.id))
    .map((e) => (e.type === "feedback_buttons" ? feedbackButtons(cx, e) : iconAction(cx, e))));
}

function feedbackButtons(cx, el) {
  const key = `${el.action_id}:feedback`;
  const host = h("span", { class: "feedback-buttons", role: "group", "aria-label": "Rate this answer" });
  const draw = () => {
    const given = cx.app.marks.get(cx.place, cx.blockId, key);
    fill(host, one(el.positive_button, "up2", given), one(el.negative_button, "down2", given));
  };
  const one = (button, sign, given) => {
    const words = button.accessibility_label || button.text?.text;
    return h("button", {
      type: "button", class: "icon-button rate", "aria-pressed": given === button.value ? "true" : "false",
      "aria-label": words, title: button.text?.text || words, dataset: { value: button.value },
      onclick: async () => {
        cx.app.marks.set(cx.place, cx.blockId, key, button.value);
        draw();
        host.querySelector(`[data-value="${CSS.escape(button.value)}"]`)?.focus();
        await act(cx, el, { value: button.value, text: button.text });
      },
    }, icon(sign));
  };
  draw();
  return host;
}

const ICONS = { thumbs_up: "up2", thumbs_down: "down2", delete: "trash", pencil: "edit", bookmark: "star", regenerate: "refresh" };

function iconAction(cx, el) {
  const name = ICONS[el.icon] || (hasIcon(el.icon) ? el.icon : "star");
  const label = el.accessibility_label || el.text?.text || el.icon;
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: el.text?.text || label, onclick: () => act(cx, el, { value: el.value }) }, icon(name));
}
