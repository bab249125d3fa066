// Menus, list boxes and the emoji picker: small layers beside an anchor, driven by keyboard or pointer.

import { fill, h, icon, uid } from "./dom.js";
import { emojiSign, searchEmoji } from "./emoji.js";

let current = null;

/** Close the open layer, giving focus back to its anchor when it was inside. */
export function closeLayer() {
  current?.close();
}

export function layerIsOpen() {
  return current !== null;
}

function host() {
  const dialogs = document.querySelectorAll("dialog[open]");
  return dialogs.length ? dialogs[dialogs.length - 1] : document.body;
}

function place(layer, anchor) {
  const box = anchor.getBoundingClientRect();
  const { offsetWidth: w, offsetHeight: tall } = layer;
  const left = Math.max(8, Math.min(box.left, innerWidth - w - 8));
  const below = box.bottom + 4 + tall <= innerHeight - 8;
  const top = below ? box.bottom + 4 : Math.max(8, box.top - tall - 4);
  layer.style.left = `${left}px`;
  layer.style.top = `${top}px`;
}

/** Show `content` beside `anchor` until Escape, a click elsewhere or close(). */
export function openLayer(anchor, content, { onclose, className = "" } = {}) {
  closeLayer();
  const layer = h("div", { class: `layer ${className}` }, content);
  const close = () => {
    if (current?.layer !== layer) return;
    const hadFocus = layer.contains(document.activeElement);
    current = null;
    layer.remove();
    document.removeEventListener("pointerdown", outside, true);
    anchor.setAttribute("aria-expanded", "false");
    if (hadFocus && anchor.isConnected) anchor.focus();
    onclose?.();
  };
  const outside = (event) => {
    if (!layer.contains(event.target) && !anchor.contains(event.target)) close();
  };
  layer.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
    if (event.key === "Tab") close();
  });
  current = { layer, close };
  host().append(layer);
  anchor.setAttribute("aria-expanded", "true");
  place(layer, anchor);
  document.addEventListener("pointerdown", outside, true);
  return { layer, close, place: () => place(layer, anchor) };
}

/** A menu of actions: [{label, icon?, hint?, danger?, onpick, testid?}]. */
export function openMenu(anchor, items, label) {
  const buttons = items.map((item) =>
    h("button", {
      type: "button", role: "menuitem", tabindex: "-1",
      class: item.danger ? "menu-item danger" : "menu-item", dataset: item.testid ? { testid: item.testid } : {},
      onclick: () => {
        opened.close();
        item.onpick();
      },
    }, item.icon && icon(item.icon), h("span", { class: "menu-label" }, item.label), item.hint && h("span", { class: "menu-hint" }, item.hint)));
  const menu = h("div", { role: "menu", "aria-label": label, class: "menu" }, buttons);
  menu.addEventListener("keydown", (event) => moveFocus(event, buttons));
  const opened = openLayer(anchor, menu);
  buttons[0]?.focus();
  return opened;
}

function moveFocus(event, buttons) {
  const at = buttons.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  buttons[(to + buttons.length) % buttons.length]?.focus();
}

/**
 * A list of options to pick from, with a search field.
 * groups: [{label?, options: [{label, description?, key, data}]}]; load(query) may give others later (external data).
 * isSelected(key) marks; onpick(option) is called for each pick; `stay` keeps the list open (several choices).
 */
export function openListbox(anchor, { groups, load, isSelected = () => false, onpick, stay = false, label, search = true, onclose }) {
  const listId = uid("list");
  const list = h("div", { role: "listbox", id: listId, class: "options", "aria-label": label, "aria-multiselectable": stay });
  const input = h("input", {
    type: "text", class: "option-search", role: "combobox", "aria-controls": listId, "aria-expanded": "true",
    "aria-autocomplete": "list", "aria-label": `Search ${label || "options"}`, placeholder: "Search…", autocomplete: "off",
    "aria-hidden": null, readonly: !search,
  });
  if (!search) input.classList.add("visually-hidden");
  const state = { rows: [], active: 0 };
  const opened = openLayer(anchor, h("div", { class: "listbox" }, input, list), { onclose });

  function draw(found) {
    state.rows = [];
    fill(list, found.map((group) => [
      group.label && h("div", { class: "option-group" }, group.label),
      group.options.map((option) => row(option)),
    ]));
    if (!state.rows.length) list.append(h("p", { class: "option-none" }, "Nothing found"));
    const chosen = state.rows.findIndex((r) => isSelected(r.option.key));
    activate(chosen >= 0 && !input.value ? chosen : 0);
    opened.place();
  }

  function row(option) {
    const index = state.rows.length;
    const node = h("div", {
      role: "option", id: uid("option"), class: "option", "aria-selected": isSelected(option.key) ? "true" : "false",
      onpointerdown: (event) => event.preventDefault(), onclick: () => pick(index), onpointermove: () => activate(index, false),
    }, h("span", { class: "option-text" }, h("span", {}, option.label), option.description && h("small", {}, option.description)), icon("check", "icon tick"));
    state.rows.push({ node, option });
    return node;
  }

  function activate(index, scroll = true) {
    state.rows[state.active]?.node.classList.remove("active");
    state.active = index;
    const found = state.rows[index]?.node;
    if (!found) return input.removeAttribute("aria-activedescendant");
    found.classList.add("active");
    input.setAttribute("aria-activedescendant", found.id);
    if (scroll) found.scrollIntoView({ block: "nearest" });
    return undefined;
  }

  function pick(index) {
    const chosen = state.rows[index];
    if (!chosen) return;
    onpick(chosen.option);
    if (!stay) opened.close();
    else chosen.node.setAttribute("aria-selected", isSelected(chosen.option.key) ? "true" : "false");
  }

  let asked = 0;
  async function refresh() {
    const wanted = input.value.trim().toLowerCase();
    if (!load) return draw(filterGroups(groups, wanted));
    asked += 1;
    const mine = asked;
    const found = await load(input.value.trim());
    if (mine === asked && input.isConnected) draw(found);
    return undefined;
  }

  input.addEventListener("input", refresh);
  input.addEventListener("keydown", (event) => {
    const last = state.rows.length - 1;
    const to = { ArrowDown: state.active + 1, ArrowUp: state.active - 1, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      activate(Math.max(0, Math.min(last, to)));
    } else if (event.key === "Enter" || (event.key === " " && !search)) {
      event.preventDefault();
      pick(state.active);
    }
  });
  if (groups) draw(groups);
  if (load) refresh();
  input.focus();
  return opened;
}

function filterGroups(groups, wanted) {
  if (!wanted) return groups;
  return groups
    .map((g) => ({ ...g, options: g.options.filter((o) => o.label.toLowerCase().includes(wanted)) }))
    .filter((g) => g.options.length);
}

/** A small grid of emoji with a search field; onpick(name). */
export function openEmojiPicker(anchor, onpick) {
  const grid = h("div", { class: "emoji-grid", role: "group", "aria-label": "Emoji" });
  const input = h("input", { type: "text", class: "option-search", placeholder: "Find an emoji", "aria-label": "Find an emoji" });
  const draw = () => fill(grid, searchEmoji(input.value).map((name) =>
    h("button", { type: "button", class: "emoji-choice", "aria-label": name, title: `:${name}:`, onclick: () => choose(name) }, emojiSign(name))));
  const choose = (name) => {
    opened.close();
    onpick(name);
  };
  input.addEventListener("input", draw);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") grid.querySelector("button")?.click();
    if (event.key === "ArrowDown") grid.querySelector("button")?.focus();
  });
  grid.addEventListener("keydown", (event) => gridKeys(event, grid, input));
  draw();
  const opened = openLayer(anchor, h("div", { class: "emoji-picker", "data-testid": "emoji-picker" }, input, grid));
  input.focus();
  return opened;
}

function gridKeys(event, grid, input) {
  const all = [...grid.querySelectorAll("button")];
  const at = all.indexOf(document.activeElement);
  const columns = Math.max(1, all.findIndex((b) => b.offsetTop > all[0].offsetTop));
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (step === undefined || at < 0) return;
  event.preventDefault();
  if (at + step < 0) input.focus();
  else all[Math.min(all.length - 1, at + step)].focus();
}
