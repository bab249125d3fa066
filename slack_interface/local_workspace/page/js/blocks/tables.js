// Tables: the plain one, and the data table with paging and sorting.

import { fill, h, icon, iconButton } from "../dom.js";
import { renderRichText } from "../richtext.js";

function cellNode(store, cell) {
  if (cell === null || cell === undefined) return "";
  if (typeof cell !== "object") return String(cell);
  if (cell.type === "rich_text") return renderRichText(store, cell);
  return cell.text ?? String(cell.value ?? "");
}

/** What a cell is sorted by: its number, or its text. */
function cellValue(cell) {
  if (cell?.type === "raw_number") return cell.value;
  if (cell?.type === "rich_text") return richWords(cell);
  return cell?.text ?? cell ?? "";
}

function richWords(value) {
  if (Array.isArray(value)) return value.map(richWords).join("");
  if (value?.elements) return richWords(value.elements);
  return value?.text || value?.url || value?.name || "";
}

const isNumber = (cell) => cell?.type === "raw_number";

export function table(cx, block) {
  const [head = [], ...rows] = block.rows || [];
  const settings = block.column_settings || [];
  const props = (cell, c) => ({
    class: settings[c]?.is_wrapped === false ? "no-wrap" : "",
    style: { "text-align": settings[c]?.align || (isNumber(cell) ? "right" : "left") },
  });
  return h("div", { class: "table-scroll", tabindex: "0" }, h("table", { class: "data" },
    h("thead", {}, h("tr", {}, head.map((cell, c) => h("th", { scope: "col", ...props(rows[0]?.[c], c) }, cellNode(cx.store, cell))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, c) => h("td", props(cell, c), cellNode(cx.store, cell))))))));
}

const DEFAULT_PAGE = 5;

export function dataTable(cx, block) {
  const [head = [], ...rows] = block.rows || [];
  const size = block.page_size || DEFAULT_PAGE;
  const nameColumn = block.row_header_column_index || 0;
  // A dash among numbers stands where the numbers stand.
  const numeric = head.map((_, c) => rows.some((row) => isNumber(row[c])));
  const state = { page: 0, column: null, down: false };
  const host = h("div", { class: "data-table" });

  function sorted() {
    if (state.column === null) return rows;
    const sign = state.down ? -1 : 1;
    return [...rows].sort((a, b) => sign * compare(cellValue(a[state.column]), cellValue(b[state.column])));
  }

  function sortBy(column) {
    if (state.column === column && state.down) state.column = null;
    else Object.assign(state, { down: state.column === column, column });
    state.page = 0;
    draw();
    host.querySelectorAll("th button")[column]?.focus();
  }

  function headCell(cell, c) {
    const order = state.column === c ? (state.down ? "descending" : "ascending") : "none";
    return h("th", { scope: "col", "aria-sort": order, class: numeric[c] ? "number" : "" },
      h("button", { type: "button", class: "sort", onclick: () => sortBy(c) }, cellNode(cx.store, cell), icon("down", `icon sort-sign ${order}`)));
  }

  function bodyRow(row) {
    return h("tr", {}, row.map((cell, c) => c === nameColumn
      ? h("th", { scope: "row" }, cellNode(cx.store, cell))
      : h("td", { class: numeric[c] ? "number" : "" }, cellNode(cx.store, cell))));
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(rows.length / size));
    const shown = sorted().slice(state.page * size, (state.page + 1) * size);
    const turn = (by) => () => {
      state.page += by;
      draw();
    };
    fill(host,
      h("div", { class: "table-scroll", tabindex: "0" }, h("table", { class: "data" },
        h("caption", {}, block.caption || ""), h("thead", {}, h("tr", {}, head.map(headCell))), h("tbody", {}, shown.map(bodyRow)))),
      pages > 1 && h("div", { class: "pager" },
        iconButton("left", "Previous page", turn(-1), { disabled: state.page === 0 }),
        h("span", { role: "status" }, `Page ${state.page + 1} of ${pages}`),
        iconButton("right", "Next page", turn(1), { disabled: state.page === pages - 1 }),
        h("span", { class: "quiet" }, `${rows.length} rows`)));
  }

  draw();
  return host;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}
