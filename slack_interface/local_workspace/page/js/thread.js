// The thread pane: the root, its replies, what the assistant is doing, and a composer of its own.

import { acceptDrops, Composer } from "./composer.js";
import { fill, h, iconButton } from "./dom.js";
import { MessageList } from "./messages.js";
import { statusLine } from "./parts.js";

/** One open thread. update() redraws from the store. */
export class ThreadPane {
  constructor(app, channel, ts) {
    this.app = app;
    this.store = app.store;
    this.channel = channel;
    this.ts = ts;
    const info = this.store.channel(channel);
    const place = info ? (info.kind === "im" ? this.store.channelTitle(info) : `#${info.name}`) : "";
    this.list = new MessageList(app, channel, "thread", "Thread");
    this.composer = new Composer(app, { channel, thread_ts: ts }, { testid: "thread-composer", placeholder: "Reply in thread" });
    this.title = h("span", { class: "quiet thread-place" }, place);
    this.node = h("aside", { class: "thread", "aria-label": "Thread", "data-testid": "thread", dataset: { ts } },
      h("header", { class: "pane-head" },
        iconButton("left", "Back to the channel", () => app.closeThread(), { class: "icon-button narrow-only" }),
        h("div", { class: "pane-title" }, h("h2", {}, "Thread"), this.title),
        iconButton("close", "Close thread", () => app.closeThread(), { class: "icon-button wide-only" })),
      this.list.frame, this.composer.node);
    this.node.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented) app.closeThread();
    });
    acceptDrops(this.node, this.composer);
    this.update();
  }

  update() {
    const messages = this.store.thread(this.channel, this.ts);
    this.list.update(messages);
    const gone = !messages.length && this.store.loaded.has(`${this.channel}:${this.ts}`);
    fill(this.list.before, gone && h("p", { class: "empty" }, "This thread is not here any more."));
    this.updateStatus();
  }

  updateStatus() {
    const session = this.store.sessions.get(`${this.channel}:${this.ts}`);
    if (session?.title) this.title.textContent = session.title;
    let status = this.store.statusOf(this.channel, this.ts);
    const streaming = this.store.thread(this.channel, this.ts).some((m) => m.streaming);
    if (!status && !streaming && session?.status === "processing") status = { status: "is working…", loading_messages: [] };
    const stamp = JSON.stringify(status);
    if (stamp !== this.statusStamp) fill(this.list.after, status && statusLine(this.store, status));
    this.statusStamp = stamp;
    this.composer.updateSend();
  }

  close() {
    this.list.close();
    this.node.remove();
  }
}
