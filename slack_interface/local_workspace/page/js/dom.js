// Building DOM nodes. Text only ever enters the page through text nodes and attributes.

const SVG = "http://www.w3.org/2000/svg";

function apply(node, props) {
  for (const [key, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "dataset") Object.assign(node.dataset, value);
    else if (key === "value" && "value" in node) node.value = value;
    else if (key === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    node.append(child);
  }
}

/** An HTML element with properties (on* = listeners) and children (nodes, text, nested lists). */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  apply(node, props);
  append(node, children);
  return node;
}

/** An SVG element, same shape as h. */
export function s(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  apply(node, props);
  append(node, children);
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

// How a child looked when it was drawn: a menu that is open, say, marks its button.
const drawn = new WeakMap();

/** Like fill, for what is drawn again while somebody may be using it: a child that would look the
    same stays (with its listeners, so they must ask for what may change), and so does the focus. */
export function refill(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  const former = [...node.children];
  const wanted = [...h("div", {}, children).children].map((child) => {
    const at = former.findIndex((old) => drawn.get(old)?.isEqualNode(child));
    if (at >= 0) return former.splice(at, 1)[0];
    drawn.set(child, child.cloneNode(true));
    return child;
  });
  for (const child of [...node.childNodes]) if (!wanted.includes(child)) child.remove();
  wanted.forEach((child, i) => {
    if (node.childNodes[i] !== child) node.insertBefore(child, node.childNodes[i] || null);
  });
  if (focused && focused !== document.activeElement) successor(node, focused)?.focus();
}

/** What stands for a node that was drawn anew. */
function successor(node, former) {
  const same = (name) => former.hasAttribute(name) && node.querySelector(`[${name}="${CSS.escape(former.getAttribute(name))}"]`);
  return same("data-testid") || same("aria-label");
}

let counter = 0;
/** An id unique in this page, for aria references. */
export function uid(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

const PATHS = {
  hash: "M5 9h15M4 15h15M10 3L8 21M16 3l-2 18",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  reply: "M4 5h16v11h-9l-5 4v-4H4z",
  smile: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8.5 14.5c1.8 2.4 5.2 2.4 7 0M9 9.5v.01M15 9.5v.01",
  edit: "M4 20l1-4L16.5 4.5l3 3L8 19zM14 7l3 3",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  more: "M5 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0M11 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0M17 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0",
  moreV: "M11 6a1 1 0 1 0 2 0 1 1 0 1 0-2 0M11 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0M11 18a1 1 0 1 0 2 0 1 1 0 1 0-2 0",
  close: "M6 6l12 12M18 6L6 18",
  send: "M4 12l16-8-6 17-3.2-7.2z",
  stop: "M7 7h10v10H7z",
  plus: "M12 5v14M5 12h14",
  clip: "M8 12.5l6-6a3 3 0 0 1 4.3 4.3l-8 8a5 5 0 0 1-7-7L11 4",
  menu: "M4 7h16M4 12h16M4 17h16",
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
  left: "M15 6l-6 6 6 6",
  check: "M5 12.5l4.5 4.5L19 7.5",
  alert: "M12 4l9 16H3zM12 10v4M12 17v.01",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5M12 8v.01",
  up2: "M7 11v9H4v-9zM7 11l4-8c1.6 0 2.6 1.2 2.3 2.8L12.8 9H19a1.8 1.8 0 0 1 1.8 2.2l-1.5 7A2.2 2.2 0 0 1 17.2 20H7",
  down2: "M17 13V4h3v9zM17 13l-4 8c-1.6 0-2.6-1.2-2.3-2.8L11.2 15H5a1.8 1.8 0 0 1-1.8-2.2l1.5-7A2.2 2.2 0 0 1 6.8 4H17",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  bolt: "M13 3L5 14h6l-1 7 8-11h-6z",
  eye: "M2 12c4-7 16-7 20 0-4 7-16 7-20 0zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  file: "M6 3h8l5 5v13H6zM14 3v5h5",
  at: "M15.5 12a3.5 3.5 0 1 1-7 0 3.5 3.5 0 0 1 7 0zm0 0v1.5a2.5 2.5 0 0 0 5 0V12a8.5 8.5 0 1 0-3.5 6.9",
  play: "M8 5l11 7-11 7z",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  star: "M12 4l2.5 5.2 5.7.8-4.1 4 1 5.6-5.1-2.7-5.1 2.7 1-5.6-4.1-4 5.7-.8z",
  refresh: "M20 12a8 8 0 1 1-2.3-5.7M20 4v4h-4",
};

/** One of the page's own line icons; decorative unless the button around it has a label. */
export function icon(name, className = "icon") {
  return s(
    "svg",
    { viewBox: "0 0 24 24", class: className, "aria-hidden": "true", focusable: "false" },
    s("path", { d: PATHS[name] || PATHS.star }),
  );
}

export function hasIcon(name) {
  return name in PATHS;
}

/** A button with an icon only; the label is what a screen reader and the tooltip say. */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(name));
}
