// Everything the page asks of its server, and the live socket.

import { BASE } from "./base.js";

/** A refusal of the server: `code` as Slack names it, `message` says what to do. */
export class ApiError extends Error {
  constructor(code, message, body) {
    super(message || code);
    this.code = code;
    this.body = body;
  }
}

async function answer(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    throw new ApiError("unreadable", `The workspace answered ${response.status} without JSON.`, null);
  }
  if (!response.ok || body.ok === false) {
    throw new ApiError(body.error || `http_${response.status}`, body.message || body.error || "", body);
  }
  return body;
}

async function call(path, init) {
  let response;
  try {
    response = await fetch(BASE + path, init);
  } catch {
    throw new ApiError("offline", "The workspace does not answer. Is it still running?", null);
  }
  return answer(response);
}

function query(params) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) if (v !== null && v !== undefined) q.set(k, v);
  return q.toString();
}

function post(path, body) {
  return call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

export const api = {
  state: (user) => call(`/_page/state?${query({ user })}`),
  history: (user, channel, threadTs) =>
    call(`/_page/history?${query({ user, channel, thread_ts: threadTs })}`),
  read: (user, channel) => post("/_page/read", { user, channel }),
  closeView: (user, viewId) => post("/_page/close-view", { user, view_id: viewId }),
  options: (body) => post("/_page/options", body),
  message: (body) => post("/_control/message", body),
  command: (body) => post("/_control/command", body),
  interact: (body) => post("/_control/interact", body),
  submit: (body) => post("/_control/submit", body),
  openHome: (user, tab) => post("/_control/open-home", { user, tab }),
  reaction: (body) => post("/_control/reaction", body),
  edit: (body) => post("/_control/edit-message", body),
  remove: (body) => post("/_control/delete-message", body),
  shortcut: (body) => post("/_control/shortcut", body),
  install: (user) => post("/_control/install", { user }),
  uninstall: (body) => post("/_control/uninstall", body),
  stop: (body) => post("/_control/stop", body),
  upload: (params, files, text) => {
    const form = new FormData();
    for (const file of files) form.append("file", file, file.name);
    if (text) form.append("text", text);
    return call(`/_page/upload?${query(params)}`, { method: "POST", body: form });
  },
};

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8000;

/** The live socket of one person; reconnects with a growing, jittered wait until closed. */
export class Live {
  constructor(user, { onopen, onevent, onlost }) {
    this.user = user;
    this.handlers = { onopen, onevent, onlost };
    this.wait = FIRST_WAIT_MS;
    this.closed = false;
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}${BASE}/_page/live?${query({ user: this.user })}`);
    this.socket.onopen = () => {
      this.wait = FIRST_WAIT_MS;
      this.handlers.onopen();
    };
    this.socket.onmessage = (message) => {
      if (!this.closed) this.handlers.onevent(JSON.parse(message.data));
    };
    this.socket.onclose = () => this.lost();
  }

  lost() {
    if (this.closed) return;
    this.handlers.onlost();
    const jitter = 0.75 + Math.random() / 2;
    this.timer = setTimeout(() => this.connect(), this.wait * jitter);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}
