// What the page knows. Changes come from the server only; each one names the topics that must be drawn again.

export const threadKey = (channel, ts) => `${channel}:${ts}`;
export const rootTs = (message) => message.thread_ts || message.ts;
export const isReply = (message) => Boolean(message.thread_ts) && message.thread_ts !== message.ts;

/** All data for one person. Topics: shell, messages, home, modals, status, connection. */
export class Store {
  constructor() {
    this.listeners = new Set();
    this.reset();
  }

  reset() {
    this.team = { id: "", name: "Workspace" };
    this.teams = [];
    this.me = null;
    this.users = new Map();
    this.channels = [];
    this.assistant = {};
    this.commands = [];
    this.shortcuts = [];
    this.prompts = { title: null, prompts: [] };
    this.home = null;
    this.modals = [];
    this.viewErrors = new Map();
    this.status = new Map();
    this.sessions = new Map();
    this.canStop = false;
    this.appConnected = null;
    this.appInstalled = true;
    this.online = false;
    this.messages = new Map();
    this.loaded = new Set();
  }

  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(topic, detail = {}) {
    for (const listener of this.listeners) listener(topic, detail);
  }

  // Reading

  user(id) {
    return this.users.get(id) || null;
  }

  channel(id) {
    return this.channels.find((c) => c.id === id) || null;
  }

  get dm() {
    return this.channels.find((c) => c.kind === "im") || null;
  }

  channelTitle(channel) {
    return channel.kind === "im" ? this.assistant.name || "Assistant" : channel.name;
  }

  bucket(channel) {
    if (!this.messages.has(channel)) this.messages.set(channel, new Map());
    return this.messages.get(channel);
  }

  message(channel, ts) {
    return this.bucket(channel).get(ts) || null;
  }

  roots(channel) {
    const shown = [...this.bucket(channel).values()].filter(
      (m) => !isReply(m) || m.subtype === "thread_broadcast" || m.reply_broadcast,
    );
    return shown.sort(byTime);
  }

  thread(channel, ts) {
    return [...this.bucket(channel).values()].filter((m) => rootTs(m) === ts).sort(byTime);
  }

  author(message) {
    const id = message.user || "";
    if (message.bot_id || id === this.assistant.bot_user_id) {
      const bot = this.user(this.assistant.bot_user_id) || {};
      const name = message.username || bot.real_name || this.assistant.name || "App";
      return { id, name, initials: bot.initials || name.slice(0, 1), color: "var(--accent)", isBot: true };
    }
    const user = this.user(id);
    if (!user) return { id, name: id || "Unknown", initials: "?", color: "var(--muted)", isBot: false };
    return { id, name: user.real_name || user.name, initials: user.initials, color: user.color, isBot: user.is_bot };
  }

  isMine(message) {
    return Boolean(this.me) && message.user === this.me.id && !message.bot_id;
  }

  isProcessing(channel, ts) {
    return this.sessions.get(threadKey(channel, ts))?.status === "processing";
  }

  statusOf(channel, ts) {
    return this.status.get(threadKey(channel, ts)) || null;
  }

  // Changing

  setState(data) {
    this.team = data.team;
    this.teams = data.teams || [];
    this.me = data.me;
    this.users = new Map(data.users.map((u) => [u.id, u]));
    this.channels = data.channels;
    this.assistant = data.assistant;
    this.commands = data.commands || [];
    this.anyCommand = !this.commands.length;
    this.shortcuts = data.shortcuts || [];
    this.prompts = data.prompts || { title: null, prompts: [] };
    this.home = data.home;
    this.modals = data.modals || [];
    this.status = new Map(Object.entries(data.status || {}));
    this.sessions = new Map(Object.entries(data.sessions || {}));
    this.canStop = Boolean(data.can_stop);
    if (data.app) {
      this.appConnected = data.app.connected;
      this.appInstalled = data.app.installed;
    }
    for (const topic of ["shell", "messages", "home", "modals", "status", "connection"]) this.emit(topic);
  }

  setHistory(channel, messages, threadTs = null) {
    const bucket = this.bucket(channel);
    for (const [ts, old] of bucket) {
      const inScope = threadTs ? rootTs(old) === threadTs : !isReply(old);
      if (inScope) bucket.delete(ts);
    }
    for (const message of messages) bucket.set(message.ts, message);
    this.loaded.add(threadTs ? threadKey(channel, threadTs) : channel);
    this.emit("messages", { channel });
  }

  putMessage(channel, message) {
    const old = this.message(channel, message.ts);
    this.bucket(channel).set(message.ts, message);
    const isDone = old ? Boolean(old.streaming) && !message.streaming : !message.streaming;
    this.emit("messages", { channel, message, isNew: !old, isDone });
  }

  dropMessage(channel, ts) {
    this.bucket(channel).delete(ts);
    this.emit("messages", { channel });
  }

  setUnread(channelId, count) {
    const channel = this.channel(channelId);
    if (!channel || channel.unread === count) return;
    channel.unread = count;
    this.emit("shell");
  }

  putView(view, onTop) {
    const at = this.modals.findIndex((v) => v.id === view.id);
    if (at >= 0) this.modals[at] = view;
    else if (onTop) this.modals.push(view);
    this.viewErrors.delete(view.id);
    this.emit("modals");
  }

  dropView(viewId) {
    this.modals = this.modals.filter((v) => v.id !== viewId);
    this.viewErrors.delete(viewId);
    this.emit("modals");
  }

  clearModals() {
    this.modals = [];
    this.viewErrors.clear();
    this.emit("modals");
  }

  setViewErrors(viewId, errors) {
    this.viewErrors.set(viewId, errors);
    this.emit("modals", { errors: viewId });
  }

  setStatus(channel, ts, status, loading) {
    const key = threadKey(channel, ts);
    if (status) this.status.set(key, { status, loading_messages: loading || [] });
    else this.status.delete(key);
    this.emit("status", { channel, ts });
  }

  setSession(channel, ts, status, title) {
    this.sessions.set(threadKey(channel, ts), { status, title });
    this.emit("status", { channel, ts });
  }

  /** Apply one event of the live socket. */
  apply(event) {
    const handler = HANDLERS[event.type];
    if (handler) handler(this, event);
  }
}

const HANDLERS = {
  message: (store, e) => store.putMessage(e.channel, e.message),
  message_changed: (store, e) => store.putMessage(e.channel, e.message),
  message_deleted: (store, e) => store.dropMessage(e.channel, e.ts),
  ephemeral: (store, e) => store.putMessage(e.channel, { ...e.message, is_ephemeral: true }),
  view_opened: (store, e) => store.putView(e.view, true),
  view_pushed: (store, e) => store.putView(e.view, true),
  view_updated: (store, e) => store.putView(e.view, false),
  view_closed: (store, e) => store.dropView(e.view?.id || e.view_id),
  view_errors: (store, e) => store.setViewErrors(e.view_id, e.errors),
  home: (store, e) => {
    store.home = e.view;
    store.emit("home");
  },
  status: (store, e) => store.setStatus(e.channel, e.thread_ts, e.status, e.loading_messages),
  session: (store, e) => store.setSession(e.channel, e.thread_ts, e.status, e.title),
  prompts: (store, e) => {
    store.prompts = { title: e.title, prompts: e.prompts || [] };
    store.emit("prompts");
  },
  reset: (store) => store.emit("reset"),
  notice: (store, e) => store.emit("notice", e),
  app: (store, e) => {
    store.appConnected = e.connected;
    store.emit("connection");
  },
};

function byTime(a, b) {
  return a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0;
}
