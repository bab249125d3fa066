// What the composer offers while typing: people after @, channels after #, emoji after :, commands after /.

import { h, uid } from "./dom.js";
import { emojiSign, searchEmoji } from "./emoji.js";
import { avatar } from "./parts.js";

const MOST = 8;

/** Offers for the text before the caret: {from, items: [{insert, label, hint, lead}]} or null. */
export function offers(store, before, { inThread }) {
  const command = /^\/(\S*)$/.exec(before);
  if (command && !inThread) return found(0, commandOffers(store, command[1]));
  const match = /(^|[\s(])([@#:])([^\s@#:]*(?: [^\s@#:]*)?)$/.exec(before);
  if (!match) return null;
  const from = match.index + match[1].length;
  const query = match[3].toLowerCase();
  if (match[2] === "@") return found(from, peopleOffers(store, query));
  if (match[2] === "#") return found(from, channelOffers(store, query));
  return query.length >= 2 && !query.includes(" ") ? found(from, emojiOffers(query)) : null;
}

function found(from, items) {
  return items.length ? { from, items: items.slice(0, MOST) } : null;
}

function commandOffers(store, typed) {
  return store.commands
    .filter((c) => c.command.slice(1).startsWith(typed.toLowerCase()))
    .map((c) => ({
      insert: `${c.command} `, label: c.command, usage: c.usage_hint, hint: c.description, exact: c.command === `/${typed}`,
    }));
}

function peopleOffers(store, query) {
  const { assistant } = store;
  const people = [...store.users.values()].map((u) => ({ ...u, title: u.id === assistant.bot_user_id ? assistant.name : u.real_name || u.name }));
  if (!people.some((p) => p.id === assistant.bot_user_id)) {
    people.push({ id: assistant.bot_user_id, title: assistant.name, name: "", is_bot: true, color: "var(--accent)" });
  }
  people.sort((a, b) => Number(Boolean(b.is_bot)) - Number(Boolean(a.is_bot)));
  const hit = (p) => p.title?.toLowerCase().startsWith(query) || p.name?.startsWith(query)
    || p.title?.toLowerCase().split(" ").some((w) => w.startsWith(query));
  return people.filter(hit).map((p) => ({
    insert: `@${p.title} `, label: p.title, hint: p.is_bot ? "App" : p.name, lead: avatar(p, "tiny"),
    exact: p.title?.toLowerCase() === query,
  }));
}

function channelOffers(store, query) {
  return store.channels.filter((c) => c.kind !== "im" && c.name.startsWith(query))
    .map((c) => ({ insert: `#${c.name} `, label: `#${c.name}`, hint: c.topic, exact: c.name === query }));
}

function emojiOffers(query) {
  return searchEmoji(query, MOST).map((n) => ({ insert: `:${n}: `, label: `:${n}:`, lead: h("span", { class: "emoji" }, emojiSign(n)) }));
}

/** The list of offers above a textarea; keys are handled by `key(event)`, which says whether it used the key. */
export class Completion {
  constructor(field, { find, onpick }) {
    this.field = field;
    this.find = find;
    this.onpick = onpick;
    this.id = uid("offers");
    this.node = h("div", { class: "offers", role: "listbox", id: this.id, hidden: true, "aria-label": "Suggestions", "data-testid": "completion" });
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-controls", this.id);
    this.offer = null;
  }

  get open() {
    return this.offer !== null;
  }

  refresh() {
    const before = this.field.value.slice(0, this.field.selectionStart);
    this.offer = document.activeElement === this.field ? this.find(before) : null;
    this.active = 0;
    this.draw();
  }

  close() {
    this.offer = null;
    this.draw();
  }

  draw() {
    this.node.hidden = !this.offer;
    if (!this.offer) {
      this.field.removeAttribute("aria-activedescendant");
      this.node.replaceChildren();
      return;
    }
    this.node.replaceChildren(...this.offer.items.map((item, i) => this.row(item, i)));
    this.field.setAttribute("aria-activedescendant", `${this.id}-${this.active}`);
  }

  row(item, i) {
    return h("div", {
      role: "option", id: `${this.id}-${i}`, class: i === this.active ? "offer active" : "offer", "aria-selected": i === this.active ? "true" : "false",
      onpointerdown: (event) => {
        event.preventDefault();
        this.take(i);
      },
    }, item.lead, h("strong", {}, item.label), item.usage && h("code", { class: "usage" }, item.usage), item.hint && h("span", { class: "offer-hint" }, item.hint));
  }

  take(i) {
    const { from, items } = this.offer;
    const rest = this.field.value.slice(this.field.selectionStart);
    const head = this.field.value.slice(0, from) + items[i].insert;
    this.field.value = head + rest;
    this.field.setSelectionRange(head.length, head.length);
    this.close();
    this.onpick();
  }

  key(event) {
    if (!this.offer) return false;
    const count = this.offer.items.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.active = (this.active + (event.key === "ArrowDown" ? 1 : count - 1)) % count;
      this.draw();
    } else if (event.key === "Tab" && !event.shiftKey) this.take(this.active);
    else if (event.key === "Enter" && !event.shiftKey) {
      if (this.offer.items[this.active].exact) {
        this.close();
        return false;
      }
      this.take(this.active);
    } else if (event.key === "Escape") this.close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }
}
