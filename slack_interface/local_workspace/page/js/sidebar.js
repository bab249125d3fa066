// The left side: workspaces, app connection, channels, the assistant, and who is using the page.

import { h, icon, iconButton, refill } from "./dom.js";
import { avatar } from "./parts.js";
import { openMenu } from "./popover.js";
import { Rail, teamMenu } from "./rail.js";

/** Draws from the store; `route` says what is current. */
export class Sidebar {
  constructor(app) {
    this.app = app;
    this.store = app.store;
    this.title = h("div", { class: "side-title" });
    this.top = h("header", { class: "side-head" }, this.title,
      iconButton("close", "Close the sidebar", () => app.toggleDrawer(false), { class: "icon-button narrow-only" }));
    this.nav = h("nav", { class: "side-nav", "aria-label": "Conversations" });
    this.person = h("div", { class: "side-person" });
    this.rail = new Rail(app);
    this.node = h("div", { class: "sidebar", id: "sidebar" }, this.rail.node,
      h("div", { class: "side-column" }, this.top, this.nav, this.person));
    this.nav.addEventListener("keydown", (event) => this.onKey(event));
  }

  draw() {
    this.rail.draw();
    this.drawTop();
    this.drawNav();
    this.drawPerson();
  }

  drawTop() {
    const { store } = this;
    const state = connection(store);
    refill(this.title, teamMenu(store),
      h("span", { class: `connection ${state.kind}`, role: "status", "data-testid": "connection" }, h("i", { "aria-hidden": "true" }), state.words));
  }

  drawNav() {
    const { store } = this;
    const dm = store.dm;
    refill(this.nav,
      h("h2", {}, "Channels"),
      store.channels.filter((c) => c.kind !== "im").map((c) => this.entry(c)),
      h("h2", {}, "Apps"),
      dm ? this.entry(dm) : h("p", { class: "side-note" }, `${store.assistant.name} is not installed here.`));
  }

  entry(channel) {
    const { store, app } = this;
    const isDm = channel.kind === "im";
    const current = app.route.channel === channel.id;
    const unread = current ? 0 : channel.unread || 0;
    return h("a", {
      class: `side-entry${current ? " current" : ""}${unread ? " unread" : ""}`, href: app.hashOf({ channel: channel.id }),
      "aria-current": current ? "page" : null, "data-testid": isDm ? "assistant-dm" : `channel-${channel.name}`, dataset: { channel: channel.id },
      onclick: () => app.toggleDrawer(false),
    }, isDm ? avatar({ color: "var(--accent)", isBot: true }, "tiny") : icon(channel.kind === "private" ? "lock" : "hash"),
    h("span", { class: "side-name" }, store.channelTitle(channel)),
    unread > 0 && h("span", { class: "unread-count", "aria-label": `${unread} unread` }, unread));
  }

  drawPerson() {
    const { store } = this;
    const { me } = store;
    refill(this.person, h("button", {
      type: "button", class: "person-switcher", "data-testid": "person-switcher", "aria-haspopup": "menu",
      "aria-label": `You are ${me.real_name}. Switch person`, onclick: (e) => this.choosePerson(e.currentTarget),
    }, avatar(me, "small"), h("span", { class: "person-words" }, h("strong", {}, me.real_name), h("small", {}, me.is_approver ? "Approver · switch person" : "Switch person")), icon("down")));
  }

  choosePerson(anchor) {
    const people = [...this.store.users.values()].filter((u) => !u.is_bot);
    openMenu(anchor, people.map((p) => ({
      label: p.real_name || p.name,
      hint: [p.is_approver && "approver", p.id === this.store.me.id && "you"].filter(Boolean).join(", "),
      testid: `person-${p.name}`,
      onpick: () => this.app.switchPerson(p.id),
    })), "Use the workspace as");
  }

  onKey(event) {
    const all = [...this.nav.querySelectorAll("a")];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined || !all[to]) return;
    event.preventDefault();
    all[to].focus();
  }
}

function connection(store) {
  if (!store.online) return { kind: "off", words: "Reconnecting…" };
  if (!store.appInstalled) return { kind: "waiting", words: "App not installed" };
  if (store.appConnected === false) return { kind: "waiting", words: "App not connected" };
  if (store.appConnected === true) return { kind: "on", words: "App connected" };
  return { kind: "on", words: "Live" };
}
