// One message: head, content by block, files, reactions, replies, status, and what can be done with it.

import { api } from "./api.js";
import { drawBlocks } from "./blocks/index.js";
import { fill, h, icon, iconButton, refill } from "./dom.js";
import { emojiNode } from "./inline.js";
import { attempt, confirmDialog, toast } from "./feedback.js";
import { renderMrkdwn } from "./mrkdwn.js";
import { avatar, clock, dayName, fileCard, statusLine } from "./parts.js";
import { openEmojiPicker, openMenu } from "./popover.js";
import { isReply, rootTs } from "./store.js";
import { decode, fullText, preview } from "./textcode.js";

/** Draws and keeps up to date one message inside a list; `place` is "channel" or "thread". */
export class MessageView {
  constructor(app, channel, place) {
    this.app = app;
    this.store = app.store;
    this.channel = channel;
    this.place = place;
    this.content = h("div", { class: "message-content" });
    this.head = h("div", { class: "message-head" });
    this.foot = h("div", { class: "message-foot" });
    this.gutter = h("div", { class: "message-gutter" });
    this.tools = h("div", { class: "message-tools", role: "toolbar", "aria-label": "Message actions" });
    this.node = h("div", { class: "message", role: "article", tabindex: "-1", "data-testid": "message" },
      this.gutter, h("div", { class: "message-main" }, this.head, this.content, this.foot), this.tools);
    this.node.addEventListener("keydown", (event) => this.onKey(event));
    this.editing = false;
  }

  update(message, compact) {
    this.message = message;
    const author = this.store.author(message);
    this.node.dataset.ts = message.ts;
    this.node.classList.toggle("compact", compact);
    this.node.classList.toggle("ephemeral", Boolean(message.is_ephemeral));
    this.node.classList.toggle("streaming", Boolean(message.streaming));
    this.node.setAttribute("aria-label", `${author.name}, ${clock(message.ts)}`);
    this.node.setAttribute("aria-busy", message.streaming ? "true" : "false");
    this.drawHead(author, compact);
    if (!this.editing) this.drawContent();
    this.drawFoot();
    this.drawTools();
  }

  drawHead(author, compact) {
    const time = h("a", { class: "time", href: this.link(), title: dayName(this.message.ts) }, clock(this.message.ts));
    refill(this.gutter, compact ? time : avatar(author));
    refill(this.head,
      this.message.is_ephemeral && h("div", { class: "only-you" }, icon("eye"), "Only visible to you"),
      !compact && h("div", { class: "byline" }, h("strong", { class: "author" }, author.name),
        author.isBot && h("span", { class: "badge" }, "APP"), time));
  }

  link() {
    const thread = isReply(this.message) ? this.message.thread_ts : null;
    return this.app.hashOf({ channel: this.channel, thread });
  }

  drawContent() {
    const { message, store } = this;
    // What people type keeps its formatting in the text; only apps compose with blocks.
    const fromApp = message.bot_id || !message.text;
    const blocks = fromApp && message.blocks?.length ? message.blocks : null;
    if (blocks) {
      if (!this.blockHost) fill(this.content, (this.blockHost = h("div", { class: "blocks" })));
      drawBlocks(this.app, this.blockHost, blocks, this.place_());
    } else {
      this.blockHost = null;
      fill(this.content, message.text && h("div", { class: "text" }, renderMrkdwn(store, message.text)));
    }
    this.content.querySelector(":scope > .extras")?.remove();
    this.content.append(h("div", { class: "extras" },
      message.edited && h("span", { class: "edited" }, "(edited)"),
      message.files?.length ? h("div", { class: "files" }, message.files.map(fileCard)) : null));
  }

  place_() {
    return { channel: this.channel, message_ts: this.message.ts };
  }

  drawFoot() {
    refill(this.foot, this.reactions(), this.place === "channel" && this.replies());
  }

  reactions() {
    const list = this.message.reactions || [];
    if (!list.length) return null;
    return h("div", { class: "reactions" }, list.map((r) => this.reactionPill(r)),
      iconButton("smile", "Add reaction", (e) => this.pickReaction(e.currentTarget), { class: "reaction add" }));
  }

  reactionPill(reaction) {
    const mine = reaction.users?.includes(this.store.me.id);
    const names = (reaction.users || []).map((id) => this.store.user(id)?.real_name || id).join(", ");
    return h("button", {
      type: "button", class: "reaction", "aria-pressed": mine ? "true" : "false", "data-testid": `reaction-${reaction.name}`,
      title: `${names} reacted with :${reaction.name}:`, "aria-label": `${reaction.name}, ${reaction.count}`,
      onclick: () => this.react(reaction.name, mine),
    }, emojiNode(reaction.name), h("span", { class: "count" }, reaction.count));
  }

  replies() {
    const { message, store } = this;
    const status = store.statusOf(this.channel, message.ts);
    const count = message.reply_count || 0;
    const last = count ? store.thread(this.channel, message.ts).filter(isReply).at(-1) : null;
    return [
      count > 0 && h("button", { type: "button", class: "reply-bar", "data-testid": "reply-bar", onclick: () => this.openThread() },
        (message.reply_users || []).slice(0, 3).map((id) => avatar(store.author({ user: id }), "tiny")),
        h("span", { class: "reply-count" }, count === 1 ? "1 reply" : `${count} replies`),
        h("span", { class: "reply-last" }, last ? preview(store, last) : message.latest_reply ? `Last reply ${clock(message.latest_reply)}` : "")),
      status && h("div", { class: "inline-status" }, statusLine(store, status)),
    ];
  }

  drawTools() {
    if (this.message.is_ephemeral) {
      refill(this.tools, iconButton("close", "Dismiss", () => this.store.dropMessage(this.channel, this.message.ts)));
      return;
    }
    const mine = this.store.isMine(this.message);
    refill(this.tools,
      iconButton("smile", "Add reaction", (e) => this.pickReaction(e.currentTarget), { "aria-haspopup": "dialog" }),
      this.place === "channel" && iconButton("reply", "Reply in thread", () => this.openThread()),
      mine && iconButton("edit", "Edit message", () => this.edit()),
      mine && iconButton("trash", "Delete message", () => this.remove()),
      iconButton("more", "More actions", (e) => this.more(e.currentTarget), { "aria-haspopup": "menu" }));
  }

  onKey(event) {
    if (event.target !== this.node || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      Enter: () => this.openThread(), t: () => this.openThread(), r: () => this.pickReaction(this.tools.firstElementChild),
      e: () => this.store.isMine(this.message) && this.edit(), m: () => this.more(this.tools.lastElementChild),
      Delete: () => this.store.isMine(this.message) && this.remove(),
    }[event.key];
    if (!act || this.message.is_ephemeral) return;
    event.preventDefault();
    act();
  }

  openThread() {
    this.app.openThread(this.channel, rootTs(this.message), { focus: true });
  }

  pickReaction(anchor) {
    openEmojiPicker(anchor, (name) => {
      const known = this.message.reactions?.find((r) => r.name === name);
      this.react(name, known?.users?.includes(this.store.me.id));
    });
  }

  react(name, remove) {
    attempt(api.reaction({ channel: this.channel, ts: this.message.ts, user: this.store.me.id, name, ...(remove ? { remove: true } : {}) }));
  }

  more(anchor) {
    const { store, message } = this;
    openMenu(anchor, [
      ...store.shortcuts.filter((s) => s.type !== "global").map((s) => ({
        label: s.name, icon: "bolt", hint: store.assistant.name,
        onpick: () => attempt(api.shortcut({ ...this.place_(), user: store.me.id, callback_id: s.callback_id })),
      })),
      { label: "Copy text", icon: "copy", onpick: () => this.copy(fullText(store, message), "Text copied") },
      { label: "Copy link", icon: "link", onpick: () => this.copy(new URL(this.link(), location.href).href, "Link copied") },
    ], "More message actions");
  }

  async copy(text, said) {
    try {
      await navigator.clipboard.writeText(text);
      toast(said);
    } catch {
      toast("The browser did not allow copying.", "error");
    }
  }

  edit() {
    this.editing = true;
    const field = h("textarea", { class: "edit-field", "aria-label": "Edit message", "data-testid": "edit-field" });
    field.value = decode(this.store, this.message.text || "");
    const stop = () => {
      this.editing = false;
      this.blockHost = null;
      fill(this.content);
      this.drawContent();
      this.node.focus();
    };
    const save = async () => {
      const text = field.value.trim();
      if (!text) return toast("A message needs some text. Delete it instead?", "error");
      const done = await attempt(api.edit({ channel: this.channel, ts: this.message.ts, user: this.store.me.id, text }));
      if (done) stop();
      return undefined;
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") stop();
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        save();
      }
      event.stopPropagation();
    });
    fill(this.content, field, h("div", { class: "edit-actions" },
      h("button", { type: "button", class: "button small", onclick: stop }, "Cancel"),
      h("button", { type: "button", class: "button small primary", onclick: save }, "Save")));
    field.focus();
  }

  async remove() {
    const sure = await confirmDialog({ title: "Delete message", text: "This cannot be undone.", confirm: "Delete", danger: true });
    if (sure) attempt(api.remove({ channel: this.channel, ts: this.message.ts, user: this.store.me.id }));
  }
}
