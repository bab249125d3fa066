// All select menus, single and multiple: fixed options, external data, people, conversations, channels.

import { api } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { toast } from "../feedback.js";
import { openListbox } from "../popover.js";
import { change } from "./interactive.js";

const OF_IDS = { users_select: "user", conversations_select: "conversation", channels_select: "channel" };
const FEW = 6;

/** How the value of this kind of select is read and written, in Slack's field names. */
function shape(el) {
  const many = el.type.startsWith("multi_");
  const kind = el.type.replace(/^multi_/, "");
  const id = OF_IDS[kind];
  const base = id || "option";
  const field = many ? `selected_${base}s` : `selected_${base}`;
  const initial = el[many ? `initial_${base}s` : `initial_${base}`];
  return { many, kind, byId: Boolean(id), field, initial: initial ?? (many ? [] : null) };
}

function optionOf(option) {
  return { key: option.value, label: option.text?.text || option.value, description: option.description?.text, data: option };
}

function groupsOf(source) {
  if (source.option_groups?.length) return source.option_groups.map((g) => ({ label: g.label?.text, options: g.options.map(optionOf) }));
  return [{ options: (source.options || []).map(optionOf) }];
}

function peopleGroups(store) {
  return [{ options: [...store.users.values()].map((u) => ({ key: u.id, label: u.real_name || u.name, description: u.is_bot ? "App" : `@${u.name}`, data: u.id })) }];
}

function channelGroups(store, el, kind) {
  const include = el.filter?.include;
  const kinds = { channel: "public", private: "private", im: "im" };
  const fits = (c) => (kind === "channels_select" ? c.kind === "channel" : !include || include.includes(kinds[c.kind]));
  return [{ options: store.channels.filter(fits).map((c) => ({ key: c.id, label: c.kind === "im" ? store.channelTitle(c) : `#${c.name}`, description: c.topic, data: c.id })) }];
}

function sources(cx, el, kind) {
  if (kind === "users_select") return { groups: peopleGroups(cx.store) };
  if (kind === "conversations_select" || kind === "channels_select") return { groups: channelGroups(cx.store, el, kind) };
  if (kind === "external_select") return { load: (text) => external(cx, el, text) };
  return { groups: groupsOf(el) };
}

async function external(cx, el, text) {
  if (text.length < (el.min_query_length ?? 3)) return [];
  try {
    const found = await api.options({ ...cx.place, user: cx.store.me.id, action_id: el.action_id, block_id: cx.blockId, value: text });
    return groupsOf(found);
  } catch (error) {
    toast(error.message, "error");
    return [];
  }
}

export function select(cx, el) {
  const { many, kind, byId, field, initial } = shape(el);
  const known = cx.app.values.begin(cx.place, cx.blockId, el.action_id, { type: el.type, [field]: initial });
  const source = sources(cx, el, kind);
  let value = known[field];
  const keyOf = (item) => (byId ? item : item?.value);
  const labelOf = (item) => (byId ? nameOf(source, item) : item?.text?.text);
  const words = h("span", { class: "select-words" });
  const node = h("button", {
    type: "button", class: "select", id: cx.inputId, role: "combobox", "aria-haspopup": "listbox", "aria-expanded": "false",
    "aria-describedby": cx.errorId, dataset: { actionId: el.action_id },
  }, words, icon("down"));

  function draw() {
    const chosen = many ? value : [value].filter(Boolean);
    const placeholder = el.placeholder?.text || "Choose";
    fill(words, chosen.length
      ? chosen.map((item) => h("span", { class: many ? "chip" : "" }, labelOf(item)))
      : h("span", { class: "placeholder" }, placeholder));
    if (!cx.inInput) node.setAttribute("aria-label", `${placeholder}${chosen.length ? `: ${chosen.map(labelOf).join(", ")}` : ""}`);
  }

  function pick(option) {
    if (many) value = toggled(value, option.data, keyOf, el.max_selected_items);
    else value = option.data;
    draw();
    if (!many) change(cx, el, { type: el.type, [field]: value });
  }

  node.addEventListener("click", () => {
    const before = JSON.stringify(value);
    const few = kind === "static_select" && source.groups.reduce((n, g) => n + g.options.length, 0) <= FEW;
    openListbox(node, {
      ...source, search: !few, stay: many, label: el.placeholder?.text || "options", onpick: pick,
      isSelected: (key) => (many ? value : [value]).some((item) => item && keyOf(item) === key),
      onclose: () => many && JSON.stringify(value) !== before && change(cx, el, { type: el.type, [field]: value }),
    });
  });
  node.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      node.click();
    }
  });
  draw();
  return node;
}

function toggled(value, item, keyOf, most) {
  if (value.some((v) => keyOf(v) === keyOf(item))) return value.filter((v) => keyOf(v) !== keyOf(item));
  if (most && value.length >= most) {
    toast(`At most ${most} can be chosen.`);
    return value;
  }
  return [...value, item];
}

function nameOf(source, id) {
  for (const group of source.groups || []) {
    const found = group.options.find((o) => o.key === id);
    if (found) return found.label;
  }
  return id;
}
