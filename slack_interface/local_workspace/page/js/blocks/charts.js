// data_visualization: pie, bar, line and area charts as SVG, with the same numbers as a table for who cannot see them.

import { h, s, uid } from "../dom.js";

const WIDE = { w: 520, h: 240 };
const NARROW = { w: 330, h: 220 };
const NARROW_SCREEN_PX = 500;
const WIDEST_BAR = 48;
const PAD = { left: 48, right: 12, top: 12, bottom: 44 };
const COLOURS = 6;

const tone = (i) => `tone-${(i % COLOURS) + 1}`;
const show = (n) => Number(n).toLocaleString("en", { maximumFractionDigits: 2 });

export function dataVisualization(cx, block) {
  const chart = block.chart || {};
  const id = uid("chart");
  const data = chart.type === "pie" ? pieData(chart) : axisData(chart);
  const drawing = chart.type === "pie" ? pie(data) : axes(chart, data);
  return h("figure", { class: "chart", "aria-labelledby": id },
    h("figcaption", { class: "chart-title", id }, block.title || ""),
    h("div", { class: "chart-canvas" }, describe(drawing, `${chart.type} chart: ${block.title || ""}. ${summary(data)}`)),
    legend(data),
    h("details", { class: "chart-data" }, h("summary", {}, "Show the numbers"), numbers(data, block.title)));
}

function describe(svg, words) {
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", words);
  return svg;
}

/** {names: series or slice names, columns: categories, values[series][category]}. */
function pieData(chart) {
  const segments = chart.segments || [];
  return { pie: true, names: segments.map((x) => x.label), columns: ["Value"], values: segments.map((x) => [Number(x.value) || 0]) };
}

function axisData(chart) {
  const series = chart.series || [];
  const columns = chart.axis_config?.categories || [...new Set(series.flatMap((x) => x.data.map((d) => d.label)))];
  const values = series.map((x) => {
    const by = new Map((x.data || []).map((d) => [d.label, Number(d.value)]));
    return columns.map((c) => (by.has(c) ? by.get(c) : null));
  });
  return { names: series.map((x) => x.name), columns, values };
}

function summary(data) {
  return data.names.map((n, i) => `${n}: ${data.values[i].map((v) => (v === null ? "none" : show(v))).join(", ")}`).join("; ");
}

function legend(data) {
  const total = data.values.flat().reduce((a, b) => a + b, 0);
  return h("ul", { class: "legend" }, data.names.map((name, i) => h("li", {},
    h("i", { class: `key ${tone(i)}`, "aria-hidden": "true" }), name,
    data.pie && h("span", { class: "quiet" }, ` ${show(data.values[i][0])} (${total ? Math.round((data.values[i][0] / total) * 100) : 0}%)`))));
}

function numbers(data, title) {
  return h("div", { class: "table-scroll", tabindex: "0" }, h("table", { class: "data" },
    h("caption", { class: "visually-hidden" }, title),
    h("thead", {}, h("tr", {}, h("th", {}, ""), data.columns.map((c) => h("th", { scope: "col", class: "number" }, c)))),
    h("tbody", {}, data.names.map((n, i) => h("tr", {}, h("th", { scope: "row" }, n),
      data.values[i].map((v) => h("td", { class: "number" }, v === null ? "–" : show(v))))))));
}

function pie(data) {
  const total = data.values.flat().reduce((a, b) => a + Math.max(0, b), 0);
  const svg = s("svg", { viewBox: "0 0 240 240", class: "pie" });
  let from = 0;
  data.values.forEach(([value], i) => {
    const share = total ? Math.max(0, value) / total : 0;
    svg.append(slice(from, from + share, tone(i), `${data.names[i]}: ${show(value)}`));
    from += share;
  });
  return svg;
}

function slice(from, to, className, words) {
  const title = s("title", {}, words);
  if (to - from > 0.9999) return s("circle", { cx: 120, cy: 120, r: 110, class: className }, title);
  const at = (share) => {
    const angle = share * 2 * Math.PI - Math.PI / 2;
    return `${120 + 110 * Math.cos(angle)} ${120 + 110 * Math.sin(angle)}`;
  };
  const large = to - from > 0.5 ? 1 : 0;
  return s("path", { d: `M120 120 L${at(from)} A110 110 0 ${large} 1 ${at(to)} Z`, class: `slice ${className}` }, title);
}

/** Round steps for the value axis: {low, high, step}. Zero is always on it. */
function scale(values) {
  const known = values.flat().filter((v) => v !== null && Number.isFinite(v));
  const low = Math.min(0, ...known);
  const high = Math.max(0, ...known);
  const rough = (high - low || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((x) => x >= rough);
  return { low: Math.floor(low / step) * step, high: Math.ceil(high / step) * step || step, step };
}

function axes(chart, data) {
  const range = scale(data.values);
  const size = innerWidth < NARROW_SCREEN_PX ? NARROW : WIDE;
  const inner = { w: size.w - PAD.left - PAD.right, h: size.h - PAD.top - PAD.bottom };
  const y = (v) => PAD.top + inner.h * (1 - (v - range.low) / (range.high - range.low));
  const band = inner.w / Math.max(1, data.columns.length);
  const x = (c) => PAD.left + band * (c + 0.5);
  const svg = s("svg", { viewBox: `0 0 ${size.w} ${size.h}`, class: "axes" });
  grid(svg, size, range, y);
  categories(svg, size, data.columns, x, band);
  axisTitles(svg, size, chart.axis_config || {});
  if (chart.type === "bar") bars(svg, data, { x, y, band });
  else lines(svg, data, { x, y, area: chart.type === "area" });
  return svg;
}

function grid(svg, size, range, y) {
  const count = Math.round((range.high - range.low) / range.step);
  for (let i = 0; i <= count; i += 1) {
    const value = range.low + i * range.step;
    svg.append(
      s("line", { x1: PAD.left, x2: size.w - PAD.right, y1: y(value), y2: y(value), class: Math.abs(value) < 1e-9 ? "axis zero" : "axis" }),
      s("text", { x: PAD.left - 6, y: y(value) + 4, class: "tick end" }, short(value)));
  }
}

function short(value) {
  if (Math.abs(value) >= 1e6) return `${show(value / 1e6)}M`;
  if (Math.abs(value) >= 1e4) return `${show(value / 1e3)}k`;
  return show(value);
}

function categories(svg, size, columns, x, band) {
  const room = Math.max(3, Math.floor(band / 6));
  const every = Math.ceil(columns.length / 12);
  columns.forEach((label, c) => {
    if (c % every) return;
    const fits = label.length > room * every ? `${label.slice(0, Math.max(2, room * every - 1))}…` : label;
    svg.append(s("text", { x: x(c), y: size.h - PAD.bottom + 16, class: "tick middle" }, fits, s("title", {}, label)));
  });
}

function axisTitles(svg, size, config) {
  if (config.x_label) svg.append(s("text", { x: PAD.left + (size.w - PAD.left - PAD.right) / 2, y: size.h - 6, class: "tick middle strong" }, config.x_label));
  if (config.y_label) {
    const mid = PAD.top + (size.h - PAD.top - PAD.bottom) / 2;
    svg.append(s("text", { x: 10, y: mid, class: "tick middle strong", transform: `rotate(-90 10 ${mid})` }, config.y_label));
  }
}

function bars(svg, data, { x, y, band }) {
  const width = Math.min((band * 0.72) / Math.max(1, data.names.length), WIDEST_BAR);
  const half = (width * data.names.length) / 2;
  data.values.forEach((row, i) => row.forEach((value, c) => {
    if (value === null) return;
    const left = x(c) - half + i * width;
    const top = Math.min(y(value), y(0));
    svg.append(s("rect", {
      x: left + 1, y: top, width: Math.max(1, width - 2), height: Math.max(1, Math.abs(y(value) - y(0))), rx: 2, class: tone(i),
    }, s("title", {}, `${data.names[i]}, ${data.columns[c]}: ${show(value)}`)));
  }));
}

function lines(svg, data, { x, y, area }) {
  data.values.forEach((row, i) => {
    const points = row.map((v, c) => (v === null ? null : [x(c), y(v)])).filter(Boolean);
    if (!points.length) return;
    const path = points.map(([px, py], n) => `${n ? "L" : "M"}${px} ${py}`).join(" ");
    if (area) svg.append(s("path", { d: `${path} L${points.at(-1)[0]} ${y(0)} L${points[0][0]} ${y(0)} Z`, class: `area ${tone(i)}` }));
    svg.append(s("path", { d: path, class: `line ${tone(i)}` }));
    row.forEach((v, c) => v !== null && svg.append(
      s("circle", { cx: x(c), cy: y(v), r: 3.5, class: tone(i) }, s("title", {}, `${data.names[i]}, ${data.columns[c]}: ${show(v)}`))));
  });
}
