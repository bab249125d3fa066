// Writing: text, mentions, commands, files; Enter sends, Shift+Enter breaks the line; Stop while the assistant works.

import { ApiError, api } from "./api.js";
import { Completion, offers } from "./completion.js";
import { fill, h, icon, iconButton } from "./dom.js";
import { toast } from "./feedback.js";
import { fileSize } from "./parts.js";
import { openEmojiPicker } from "./popover.js";

const drafts = new Map();
const NEW_LINE = "Shift + Enter for a new line";
const THREAD_COMMAND = "Slash commands do not work in threads. Send it in the channel, or mention the assistant here instead.";

/** A composer for one conversation: target = {channel, thread_ts}. onsent(message) is told what was posted. */
export class Composer {
  constructor(app, target, { testid, placeholder, onsent }) {
    this.app = app;
    this.store = app.store;
    this.target = target;
    this.onsent = onsent;
    this.files = [];
    this.key = `${app.store.me.id}:${target.channel}:${target.thread_ts || ""}`;
    this.build(testid, placeholder);
    this.field.value = drafts.get(this.key) || "";
    this.resize();
  }

  build(testid, placeholder) {
    this.field = h("textarea", { rows: "1", placeholder, "aria-label": placeholder, "data-testid": testid, "aria-haspopup": "listbox" });
    this.completion = new Completion(this.field, {
      find: (before) => offers(this.store, before, { inThread: Boolean(this.target.thread_ts) }),
      onpick: () => this.changed(),
    });
    this.chips = h("div", { class: "file-chips" });
    this.picker = h("input", { type: "file", multiple: true, hidden: true, "data-testid": `${testid}-file`, onchange: () => this.addFiles(this.picker.files) });
    this.sendSlot = h("span", { class: "send-slot" });
    this.sendButton = h("button", { type: "button", class: "send", "aria-label": "Send", title: "Send (Enter)", onclick: () => this.send() }, icon("send"));
    this.stopButton = h("button", { type: "button", class: "stop", title: "Stop the assistant", "data-testid": "stop", onclick: () => this.stop() }, icon("stop"), "Stop");
    this.box = h("div", { class: "composer-box" }, this.completion.node, this.chips, this.field,
      h("div", { class: "composer-bar" },
        iconButton("clip", "Attach a file", () => this.picker.click()),
        iconButton("smile", "Insert an emoji", (e) => openEmojiPicker(e.currentTarget, (n) => this.insert(`:${n}: `))),
        iconButton("at", "Mention someone", () => this.insert("@")),
        !this.target.thread_ts && iconButton("bolt", "Use a command", () => this.startCommand()),
        (this.hint = h("span", { class: "composer-hint" }, NEW_LINE)),
        this.sendSlot));
    this.node = h("div", { class: "composer" }, this.box, this.picker);
    this.listen();
    this.updateSend();
  }

  listen() {
    this.field.addEventListener("input", () => this.changed());
    this.field.addEventListener("keydown", (event) => this.onKey(event));
    this.field.addEventListener("blur", () => this.completion.close());
    this.field.addEventListener("paste", (event) => {
      if (event.clipboardData?.files.length) {
        event.preventDefault();
        this.addFiles(event.clipboardData.files);
      }
    });
  }

  onKey(event) {
    if (event.isComposing || this.completion.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.send();
    } else if (event.key === "ArrowUp" && !this.field.value) {
      if (this.app.editLastOwn(this.target)) event.preventDefault();
    }
  }

  changed() {
    drafts.set(this.key, this.field.value);
    this.resize();
    this.completion.refresh();
    this.drawHint();
    this.updateSend();
  }

  /** While the words of a command are typed, how it is used. */
  drawHint() {
    const name = /^(\/\S+)\s/.exec(this.field.value)?.[1];
    const command = name && this.store.commands.find((c) => c.command === name);
    this.hint.textContent = command ? [name, command.usage_hint].filter(Boolean).join(" ") : NEW_LINE;
    this.hint.classList.toggle("usage", Boolean(command));
  }

  resize() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, innerHeight * 0.4)}px`;
  }

  insert(text) {
    this.field.focus();
    const { selectionStart: at, selectionEnd: to, value } = this.field;
    const gap = at > 0 && !/\s$/.test(value.slice(0, at)) ? " " : "";
    this.field.setRangeText(gap + text, at, to, "end");
    this.changed();
  }

  startCommand() {
    if (!this.field.value) this.field.value = "/";
    this.field.focus();
    this.changed();
  }

  addFiles(list) {
    this.files.push(...list);
    this.picker.value = "";
    this.drawChips();
    this.field.focus();
  }

  drawChips() {
    fill(this.chips, this.files.map((file, i) =>
      h("span", { class: "file-chip" }, icon("file"), file.name, h("small", {}, fileSize(file.size)),
        iconButton("close", `Remove ${file.name}`, () => {
          this.files.splice(i, 1);
          this.drawChips();
        }))));
    this.updateSend();
  }

  /** Send or Stop, as the conversation's session says. */
  updateSend() {
    const { channel, thread_ts: ts } = this.target;
    const busy = Boolean(ts) && this.store.canStop && this.store.isProcessing(channel, ts);
    const empty = !this.field.value.trim() && !this.files.length;
    this.sendButton.disabled = empty;
    fill(this.sendSlot, busy && this.stopButton, (!busy || !empty) && this.sendButton);
  }

  async stop() {
    const { channel, thread_ts: ts } = this.target;
    this.stopButton.disabled = true;
    try {
      await api.stop({ channel, thread_ts: ts, user: this.store.me.id });
    } catch (error) {
      toast(error.message, "error");
    }
    this.stopButton.disabled = false;
    this.field.focus();
  }

  async send() {
    const text = this.field.value.trim();
    const files = this.files;
    if ((!text && !files.length) || this.sending) return;
    const isCommand = /^\/[^\s/]/.test(this.field.value) && !files.length;
    if (isCommand && this.target.thread_ts) return void toast(THREAD_COMMAND, "error");
    if (isCommand && !this.known(text)) return void toast(`${text.split(/\s/)[0]} is not a command here. Type / to see them all.`, "error");
    this.sending = true;
    this.clear();
    try {
      await this.deliver(text, files, isCommand);
    } catch (error) {
      this.restore(text, files);
      toast(error instanceof ApiError && error.code === "cannot_use_in_thread" ? THREAD_COMMAND : error.message, "error");
    } finally {
      this.sending = false;
    }
  }

  known(text) {
    const name = text.split(/\s/)[0];
    return this.store.anyCommand || this.store.commands.some((c) => c.command === name);
  }

  async deliver(text, files, isCommand) {
    const { store, target } = this;
    const base = { channel: target.channel, user: store.me.id };
    if (isCommand) {
      const [command] = text.split(/\s/);
      await api.command({ ...base, command, text: text.slice(command.length).trim() });
      return;
    }
    const where = target.thread_ts ? { ...base, thread_ts: target.thread_ts } : base;
    const done = files.length ? await api.upload(where, files, text) : await api.message({ ...where, text });
    if (!done.message) return;
    if (!store.message(target.channel, done.message.ts)) store.putMessage(target.channel, done.message);
    this.onsent?.(done.message);
  }

  clear() {
    this.field.value = "";
    this.files = [];
    this.drawChips();
    this.changed();
  }

  restore(text, files) {
    if (!this.field.value) this.field.value = text;
    this.files = [...files, ...this.files];
    this.drawChips();
    this.changed();
  }

  focus() {
    this.field.focus();
  }
}

/** Let files be dropped anywhere on `pane` into its composer. */
export function acceptDrops(pane, composer) {
  const veil = h("div", { class: "drop-veil", "aria-hidden": "true" }, icon("clip"), "Drop to attach");
  const has = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  pane.ondragover = (event) => {
    if (!has(event)) return;
    event.preventDefault();
    if (!veil.isConnected) pane.append(veil);
  };
  pane.ondragleave = (event) => {
    if (!pane.contains(event.relatedTarget)) veil.remove();
  };
  pane.ondrop = (event) => {
    if (!has(event)) return;
    event.preventDefault();
    veil.remove();
    composer.addFiles(event.dataTransfer.files);
  };
}
