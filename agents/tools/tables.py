"""A CSV file as a model can use it: columns, a window of rows, whole-column summaries."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from agents.tools.base import ToolFailed

ROWS_A_PAGE = 40
_MAX_CELL = 80
_MAX_COLUMNS = 60
_FEW = 8
_NUMERIC_SHARE = 0.9
_AROUND_NUMBERS = re.compile(r"[\s$€£¥%\u00a0\u202f]")
_POINT_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?")
_COMMA_NUMBER = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)?(,\d+)?")


@dataclass(frozen=True, slots=True)
class Table:
    """A header and its rows, all text; `decimal_comma` where numbers are written 1.234,5."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    decimal_comma: bool


def read_table(text: str, name: str) -> Table:
    """The table in a CSV text with `,` `;` tab or `|` between its cells. Raises ToolFailed."""
    delimiter = _delimiter(text)
    try:
        lines = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise ToolFailed(f"'{name}' cannot be read as CSV: {error}. Ask for another copy") from None
    if not lines:
        raise ToolFailed(f"'{name}' is empty")
    width = max(len(line) for line in lines)
    header = [cell.strip() or f"column {at}" for at, cell in enumerate(lines[0], start=1)]
    header += [f"column {at}" for at in range(len(header) + 1, width + 1)]
    rows = tuple(tuple(line) + ("",) * (width - len(line)) for line in lines[1:])
    return Table(tuple(header), rows, decimal_comma=delimiter == ";")


def describe(table: Table, page: int, name: str) -> str:
    """The table's columns with summaries over all rows, then the rows of one page (from 1)."""
    pages = max(1, -(-len(table.rows) // ROWS_A_PAGE))
    if not 1 <= page <= pages:
        raise ToolFailed(f"'{name}' has {pages} pages of {ROWS_A_PAGE} rows; ask for 1 to {pages}")
    first = (page - 1) * ROWS_A_PAGE
    window = table.rows[first : first + ROWS_A_PAGE]
    parts = [f"{len(table.rows)} rows, {len(table.header)} columns."]
    if page == 1:
        columns = list(zip(*table.rows, strict=True)) or [()] * len(table.header)
        shown = list(zip(table.header, columns, strict=True))[:_MAX_COLUMNS]
        parts += [f"- {title}: {_summary(cells, table)}" for title, cells in shown]
    parts.append(f"Rows {first + 1} to {first + len(window)} (page {page} of {pages}):")
    parts += [" | ".join(_cell(cell) for cell in row) for row in (table.header, *window)]
    return "\n".join(parts)


def number_of(cell: str, *, decimal_comma: bool) -> Decimal | None:
    """The number written in a cell, without currency and percent signs; None if it is none."""
    text = _AROUND_NUMBERS.sub("", cell)
    negative = text.startswith("(") and text.endswith(")")
    text = text.strip("()") if negative else text
    pattern = _COMMA_NUMBER if decimal_comma else _POINT_NUMBER
    if not pattern.fullmatch(text) or not any(sign.isdigit() for sign in text):
        return None
    plain = text.replace(".", "").replace(",", ".") if decimal_comma else text.replace(",", "")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        return None
    return -value if negative else value


def _summary(cells: Sequence[str], table: Table) -> str:
    filled = [cell.strip() for cell in cells if cell.strip()]
    empty = len(cells) - len(filled)
    gaps = f", {empty} empty" if empty else ""
    if not filled:
        return "empty"
    read = (number_of(cell, decimal_comma=table.decimal_comma) for cell in filled)
    numbers = [number for number in read if number is not None]
    if len(numbers) >= _NUMERIC_SHARE * len(filled):
        total = sum(numbers, Decimal(0))
        mean = round(total / len(numbers), 6)
        other = len(filled) - len(numbers)
        odd = f", {other} not a number" if other else ""
        return (
            f"sum {total:f}, mean {mean.normalize():f}, min {min(numbers):f}, "
            f"max {max(numbers):f}, {len(numbers)} numbers{odd}{gaps}"
        )
    counts = Counter(filled)
    if len(counts) > _FEW:
        return f"text, {len(counts)} different values{gaps}"
    values = ", ".join(f"{_cell(value)} ({count})" for value, count in counts.most_common())
    return f"text: {values}{gaps}"


def _cell(cell: str) -> str:
    line = " ".join(cell.split())
    return line if len(line) <= _MAX_CELL else line[: _MAX_CELL - 1] + "…"


def _delimiter(text: str) -> str:
    """The sign that cuts the first line most often; quoted parts do not count."""
    first = re.sub(r'"[^"]*"', "", text.lstrip().split("\n", 1)[0])
    return max(",;\t|", key=first.count)
