// The page as a whole: who is here, what is open, and which part to redraw when something changed.

import { api, Live } from "./api.js";
import { ChannelPane } from "./channel.js";
import { fill, h } from "./dom.js";
import { announce, attempt, toast } from "./feedback.js";
import { Modals } from "./modals.js";
import { closeLayer, layerIsOpen, openListbox } from "./popover.js";
import { go, readRoute, replaceRoute, routeHash } from "./router.js";
import { Sidebar } from "./sidebar.js";
import { Store, isReply, threadKey } from "./store.js";
import { preview } from "./textcode.js";
import { ThreadPane } from "./thread.js";
import { Values } from "./values.js";

const FIRST_PERSON = "ada";

class App {
  constructor(root) {
    this.root = root;
    this.store = new Store();
    this.values = new Values();
    this.marks = new Values();
    this.modals = new Modals(this);
    this.route = readRoute();
    this.dirty = new Set();
    this.waiting = null;
    this.loads = new Set();
    this.store.subscribe((topic, detail) => this.onChange(topic, detail));
    window.addEventListener("hashchange", () => this.onRoute());
    document.addEventListener("keydown", (event) => this.onKey(event));
  }

  // Starting, and changing person

  async start() {
    const wanted = this.route.user || FIRST_PERSON;
    let state = null;
    try {
      state = await api.state(wanted);
    } catch (error) {
      if (error.code === "offline" || wanted === FIRST_PERSON) return this.startLater(error);
      state = await api.state(FIRST_PERSON);
    }
    this.store.setState(state);
    this.settle();
    this.build();
    this.connect();
    return undefined;
  }

  startLater(error) {
    fill(this.root, h("p", { class: "boot-note" }, `${error.message} Trying again…`));
    setTimeout(() => this.start(), 1000);
  }

  /** Make the route name a person and a channel that exist. */
  settle() {
    const { store } = this;
    this.route.user = store.me.id;
    if (!store.channel(this.route.channel)) Object.assign(this.route, { channel: (store.dm || store.channels[0])?.id, thread: null, tab: null });
    replaceRoute(this.route);
  }

  build() {
    this.sidebar = new Sidebar(this);
    this.drawerVeil = h("div", { class: "drawer-veil", onclick: () => this.toggleDrawer(false) });
    fill(this.root, this.sidebar.node, this.drawerVeil);
    this.sidebar.draw();
    this.showChannel();
    this.showThread();
    this.modals.draw();
  }

  connect() {
    this.live = new Live(this.store.me.id, {
      onopen: () => this.online(),
      onevent: (event) => this.happened(event),
      onlost: () => {
        this.store.online = false;
        this.store.emit("connection");
      },
    });
  }

  /** One live event: applied now, or after what is being fetched. */
  happened(event) {
    if (this.waiting) this.waiting.push(event);
    else this.store.apply(event);
    for (const meanwhile of this.loads) meanwhile.push(event);
  }

  async online() {
    this.store.online = true;
    this.store.emit("connection");
    await this.refresh();
    if (this.route.tab === "home" || this.isDm()) this.tellHome();
  }

  /** Fetch everything shown again; live events that come meanwhile are applied afterwards.
      Of several at once the latest counts: it fetches also what came before it. */
  async refresh() {
    const { user, channel, thread } = this.route;
    const meanwhile = [];
    this.waiting = meanwhile;
    let found = null;
    try {
      found = await Promise.all([api.state(user), api.history(user, channel), thread ? api.history(user, channel, thread) : null]);
    } catch (error) {
      toast(error.message, "error");
    }
    if (this.waiting !== meanwhile) return;
    this.waiting = null;
    if (found) this.show(found, channel, thread);
    for (const event of meanwhile) this.store.apply(event);
    this.markRead();
  }

  show([state, history, replies], channel, thread) {
    this.store.setState(state);
    this.store.setHistory(channel, history.messages);
    if (replies) this.store.setHistory(channel, replies.messages, thread);
  }

  switchPerson(user) {
    if (user === this.store.me.id) return;
    this.live.close();
    this.waiting = null;
    closeLayer();
    this.channelPane?.close();
    this.threadPane?.close();
    this.channelPane = this.threadPane = null;
    const channel = this.isDm() ? null : this.route.channel;
    this.store.clearModals();
    this.modals.draw();
    this.store.reset();
    this.values = new Values();
    this.marks = new Values();
    this.route = { user, channel, thread: null, tab: null };
    replaceRoute(this.route);
    this.start();
  }

  // Where we are

  isDm() {
    return this.store.channel(this.route.channel)?.kind === "im";
  }

  hashOf(change) {
    return routeHash({ user: this.store.me.id, ...change });
  }

  go(change) {
    go({ user: this.store.me.id, ...change });
  }

  onRoute() {
    const before = this.route;
    const next = readRoute();
    if (next.user && next.user !== before.user) {
      this.switchPerson(next.user);
      return;
    }
    this.route = next;
    this.settle();
    if (this.route.channel !== before.channel) {
      this.load(this.route.channel);
      this.showChannel();
      this.sidebar.draw();
      if (this.isDm()) this.tellHome();
    } else if (this.route.tab !== before.tab) {
      this.channelPane.setTab(this.tab());
      this.tellHome();
    }
    if (this.route.thread !== before.thread || this.route.channel !== before.channel) this.showThread();
  }

  tab() {
    return this.route.tab === "home" ? "home" : "messages";
  }

  tellHome() {
    if (this.isDm()) attempt(api.openHome(this.store.me.id, this.tab()));
  }

  async load(channel, thread = null) {
    // What happens while the history is on its way can be newer than what it holds: apply it again.
    const meanwhile = [];
    this.loads.add(meanwhile);
    const done = await attempt(api.history(this.store.me.id, channel, thread));
    this.loads.delete(meanwhile);
    if (done) {
      this.store.setHistory(channel, done.messages, thread);
      for (const event of meanwhile) if (event.channel === channel) this.store.apply(event);
    }
    this.markRead();
  }

  markRead() {
    const channel = this.store.channel(this.route.channel);
    if (!channel?.unread) return;
    this.store.setUnread(channel.id, 0);
    attempt(api.read(this.store.me.id, channel.id));
  }

  showChannel() {
    const channel = this.store.channel(this.route.channel);
    this.channelPane?.close();
    this.channelPane = new ChannelPane(this, channel, this.tab());
    this.root.append(this.channelPane.node);
    document.title = `${this.store.channelTitle(channel)} · ${this.store.team.name}`;
    if (matchMedia("(hover: hover)").matches) this.channelPane.composer.focus();
  }

  showThread() {
    const { channel, thread } = this.route;
    this.threadPane?.close();
    this.threadPane = null;
    this.root.classList.toggle("with-thread", Boolean(thread));
    if (!thread) return;
    this.threadPane = new ThreadPane(this, channel, thread);
    this.root.append(this.threadPane.node);
    this.threadPane.list.toEnd();
    if (this.focusThread) this.threadPane.composer.focus();
    this.focusThread = false;
    if (!this.store.loaded.has(threadKey(channel, thread))) this.load(channel, thread);
  }

  openThread(channel, ts, { focus = false } = {}) {
    if (this.route.thread === ts && this.route.channel === channel) {
      if (focus) this.threadPane?.composer.focus();
      return;
    }
    this.focusThread = focus;
    go({ user: this.store.me.id, channel, thread: ts, tab: null });
  }

  closeThread() {
    const root = this.route.thread;
    go({ thread: null });
    const node = this.channelPane.node.querySelector(`[data-ts="${root}"]`);
    (node || this.channelPane.composer.field).focus();
  }

  toggleDrawer(open) {
    this.root.classList.toggle("drawer-open", open);
    const target = open ? this.sidebar.nav.querySelector(".current, a") : null;
    target?.focus();
  }

  // Acting

  /** Send an action with the values that stand in the inputs around it. */
  interact(body) {
    const place = body.view_id ? { view_id: body.view_id } : { channel: body.channel, message_ts: body.message_ts };
    return attempt(api.interact({ ...body, user: this.store.me.id, state: { values: this.values.of(place) } }));
  }

  /** Start editing the person's last message of a conversation; false when there is none. */
  editLastOwn({ channel, thread_ts: ts }) {
    const messages = ts ? this.store.thread(channel, ts) : this.store.roots(channel);
    const last = messages.filter((m) => this.store.isMine(m)).at(-1);
    const pane = ts ? this.threadPane : this.channelPane;
    const view = last && pane?.list.views.get(last.ts);
    view?.edit();
    return Boolean(view);
  }

  onKey(event) {
    if ((event.ctrlKey || event.metaKey) && event.key === "k" && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      this.findConversation();
    }
    if (event.key !== "Escape" || event.defaultPrevented || layerIsOpen()) return;
    if (this.root.classList.contains("drawer-open")) this.toggleDrawer(false);
  }

  /** The workspace was emptied: begin again from what it has now. */
  forget() {
    this.store.messages.clear();
    this.store.loaded.clear();
    this.store.clearModals();
    this.values = new Values();
    this.marks = new Values();
    go({ thread: null });
    this.refresh();
  }

  findConversation() {
    const options = this.store.channels.map((c) => ({
      key: c.id, label: this.store.channelTitle(c), description: c.topic, data: c.id,
    }));
    openListbox(this.sidebar.top, {
      groups: [{ label: "Go to", options }], label: "conversations", onpick: (o) => this.go({ channel: o.data, thread: null, tab: null }),
    });
  }

  // Redrawing

  onChange(topic, detail) {
    if (topic === "notice") return toast(detail.text, "error");
    if (topic === "reset") return this.forget();
    if (topic === "messages") this.onMessages(detail);
    if (!this.dirty.size) requestAnimationFrame(() => this.redraw());
    this.dirty.add(topic);
    return undefined;
  }

  onMessages({ channel, message, isNew, isDone }) {
    if (!message || this.store.isMine(message)) return;
    if (isDone) announce(`${this.store.author(message).name}: ${preview(this.store, message)}`);
    if (!isNew) return;
    const known = this.store.channel(channel);
    if (channel !== this.route.channel) this.store.setUnread(channel, (known?.unread || 0) + 1);
    else if (!document.hidden && !isReply(message)) attempt(api.read(this.store.me.id, channel));
  }

  redraw() {
    const topics = this.dirty;
    this.dirty = new Set();
    if (!this.sidebar || !this.channelPane) return;
    const has = (...names) => names.some((n) => topics.has(n));
    if (has("shell", "connection")) this.sidebar.draw();
    if (has("messages", "status", "prompts", "shell")) this.channelPane.update();
    if (has("messages")) this.threadPane?.update();
    if (has("status")) this.threadPane?.updateStatus();
    if (has("home") && this.channelPane.tab === "home") this.channelPane.drawHome();
    if (has("modals")) this.modals.draw();
  }
}

new App(document.getElementById("app")).start();
