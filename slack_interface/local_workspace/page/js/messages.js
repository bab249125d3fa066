// A scrolling list of messages, reconciled by timestamp so that what a person touches is not redrawn under them.

import { h, icon } from "./dom.js";
import { MessageView } from "./message.js";
import { dayKey, dayName } from "./parts.js";
import { isReply } from "./store.js";

const SAME_BREATH_S = 300;
const NEAR_END_PX = 80;

/** One list: update(messages) shows exactly these, in order. */
export class MessageList {
  constructor(app, channel, place, label) {
    this.app = app;
    this.channel = channel;
    this.place = place;
    this.views = new Map();
    this.rows = h("div", { class: "rows", role: "feed", "aria-label": label });
    this.before = h("div", { class: "list-before" });
    this.after = h("div", { class: "list-after" });
    this.jump = h("button", { type: "button", class: "jump", hidden: true, onclick: () => this.toEnd() }, icon("down"), "Newest messages");
    this.node = h("div", { class: "message-list", tabindex: "-1" }, this.before, this.rows, this.after);
    this.frame = h("div", { class: "message-frame" }, this.node, this.jump);
    this.sticky = true;
    this.node.addEventListener("scroll", () => this.onScroll());
    this.rows.addEventListener("keydown", (event) => this.onKey(event));
    this.observer = new ResizeObserver(() => this.sticky && this.toEnd());
    this.observer.observe(this.node);
    this.observer.observe(this.rows);
    this.observer.observe(this.after);
  }

  close() {
    this.observer.disconnect();
  }

  onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.node;
    this.sticky = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    if (this.sticky) this.jump.hidden = true;
  }

  toEnd() {
    this.node.scrollTop = this.node.scrollHeight;
    this.jump.hidden = true;
  }

  update(messages) {
    const wanted = new Set(messages.map((m) => m.ts));
    for (const [ts, view] of this.views) {
      if (wanted.has(ts)) continue;
      view.node.remove();
      this.views.delete(ts);
    }
    const grew = messages.some((m) => !this.views.has(m.ts));
    this.drawRows(messages);
    if (this.sticky) this.toEnd();
    else if (grew) this.jump.hidden = false;
    this.setTabStop();
  }

  drawRows(messages) {
    let previous = null;
    let at = this.rows.firstChild;
    const put = (node) => {
      if (node === at) at = at.nextSibling;
      else this.rows.insertBefore(node, at);
    };
    this.dividers ??= new Map();
    const days = new Set();
    for (const message of messages) {
      const day = dayKey(message.ts);
      const newDay = !days.has(day) && this.place === "channel";
      if (newDay) {
        days.add(day);
        put(this.divider(day, message.ts));
      }
      const compact = !newDay && sameBreath(previous, message);
      put(this.view(message, compact).node);
      previous = message;
    }
    for (const [day, node] of this.dividers) if (!days.has(day)) { node.remove(); this.dividers.delete(day); }
  }

  divider(day, ts) {
    if (!this.dividers.has(day)) {
      this.dividers.set(day, h("div", { class: "day", role: "separator" }, h("span", {}, dayName(ts))));
    }
    return this.dividers.get(day);
  }

  view(message, compact) {
    let view = this.views.get(message.ts);
    const status = this.app.store.statusOf(this.channel, message.ts);
    if (!view) {
      view = new MessageView(this.app, this.channel, this.place);
      this.views.set(message.ts, view);
    } else if (view.message === message && view.compact === compact && view.status === status && !message.reply_count) {
      return view;
    }
    view.compact = compact;
    view.status = status;
    view.update(message, compact);
    return view;
  }

  setTabStop() {
    const all = [...this.rows.querySelectorAll(":scope > .message")];
    const current = all.find((n) => n.tabIndex === 0);
    if (!current) all.at(-1)?.setAttribute("tabindex", "0");
  }

  onKey(event) {
    const all = [...this.rows.querySelectorAll(":scope > .message")];
    const at = all.indexOf(event.target);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined || !all[to]) return;
    event.preventDefault();
    all[at].tabIndex = -1;
    all[to].tabIndex = 0;
    all[to].focus();
  }
}

function sameBreath(previous, message) {
  if (!previous || previous.is_ephemeral || message.is_ephemeral) return false;
  if (previous.reply_count || isReply(message) !== isReply(previous)) return false;
  return previous.user === message.user && previous.bot_id === message.bot_id && Number(message.ts) - Number(previous.ts) < SAME_BREATH_S;
}
