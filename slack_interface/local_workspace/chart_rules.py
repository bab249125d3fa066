"""Limits of tables and charts (docs.slack.dev: table, data_table, data_visualization blocks)."""

import math
from typing import Any

from slack_interface.local_workspace.checking import Checker
from slack_interface.local_workspace.config import Json

COLUMNS = 20
TABLE_ROWS = 100
TABLE_CHARS = 10_000
CELLS = frozenset(("raw_text", "raw_number", "rich_text"))
SERIES = 6
CATEGORIES = 20
LABEL = 20


def check_table(check: Checker, block: Json, pointer: str) -> None:
    """A `table` block: up to 100 rows of up to 20 cells."""
    rows = check.items(block, "rows", pointer, TABLE_ROWS)
    _check_rows(check, rows, pointer)
    if "column_settings" in block:
        check.items(block, "column_settings", pointer, COLUMNS)


def check_data_table(check: Checker, block: Json, pointer: str) -> None:
    """A `data_table` block: a header row and up to 100 rows of the same length, a caption."""
    check.string(block, "caption", pointer, 255, required=True)
    rows = check.items(block, "rows", pointer, TABLE_ROWS + 1, least=2)
    _check_rows(check, rows, pointer)
    lengths = {len(row) for row in rows if isinstance(row, list)}
    if len(lengths) > 1:
        check.fault("all rows must have the same number of columns", f"{pointer}/rows")
    size = block.get("page_size", 5)
    if not isinstance(size, int) or not 1 <= size <= 100:
        check.fault("must be a number from 1 to 100", f"{pointer}/page_size")
    header = rows[0] if rows and isinstance(rows[0], list) else []
    if any(isinstance(cell, dict) and cell.get("type") == "rich_text" for cell in header):
        check.fault("rich_text is not allowed in header cells", f"{pointer}/rows/0")


def _check_rows(check: Checker, rows: list[Any], pointer: str) -> None:
    chars = 0
    for index, row in enumerate(rows):
        here = f"{pointer}/rows/{index}"
        for number, cell in enumerate(check.items({"row": row}, "row", here, COLUMNS)):
            at = f"{here}/{number}"
            if not check.is_object(cell, at):
                continue
            if str(cell.get("type")) not in CELLS:
                check.fault(f"unsupported type: {cell.get('type')}", f"{at}/type")
            chars += len(str(cell.get("text", "")))
    if chars > TABLE_CHARS:
        check.fault(f"must be less than {TABLE_CHARS + 1} characters in all", f"{pointer}/rows")


def check_chart(check: Checker, block: Json, pointer: str) -> None:
    """A `data_visualization` block: a pie, or bars, lines or areas over shared categories."""
    check.string(block, "title", pointer, 50, required=True)
    chart, here = block.get("chart"), f"{pointer}/chart"
    if chart is None:
        check.fault("missing required field: chart", pointer)
    elif check.is_object(chart, here):
        if chart.get("type") == "pie":
            _check_pie(check, chart, here)
        elif chart.get("type") in ("bar", "line", "area"):
            _check_series(check, chart, here)
        else:
            check.fault("must be a valid enum value", f"{here}/type")


def _check_pie(check: Checker, chart: Json, pointer: str) -> None:
    for index, segment in enumerate(check.items(chart, "segments", pointer, SERIES)):
        at = f"{pointer}/segments/{index}"
        if check.is_object(segment, at):
            check.string(segment, "label", at, LABEL, required=True)
            if not _is_number(segment.get("value")) or segment["value"] <= 0:
                check.fault("must be a number greater than 0", f"{at}/value")


def _check_series(check: Checker, chart: Json, pointer: str) -> None:
    axis = chart.get("axis_config")
    if not isinstance(axis, dict):
        check.fault("missing required field: axis_config", pointer)
        return
    categories = check.items(axis, "categories", f"{pointer}/axis_config", CATEGORIES)
    for index, label in enumerate(categories):
        at = f"{pointer}/axis_config/categories/{index}"
        check.string({"label": label}, "label", at, LABEL, required=True)
    for key in ("x_label", "y_label"):
        check.string(axis, key, f"{pointer}/axis_config", 50)
    names: set[str] = set()
    for index, series in enumerate(check.items(chart, "series", pointer, SERIES)):
        at = f"{pointer}/series/{index}"
        if check.is_object(series, at):
            _check_points(check, series, at, categories)
            name = str(series.get("name"))
            if name in names:
                check.fault("series names must be unique", f"{at}/name")
            names.add(name)


def _check_points(check: Checker, series: Json, pointer: str, categories: list[Any]) -> None:
    check.string(series, "name", pointer, LABEL, required=True)
    points = check.items(series, "data", pointer, CATEGORIES)
    labels = [point.get("label") if isinstance(point, dict) else None for point in points]
    if labels != categories:
        check.fault("labels must match axis_config categories", f"{pointer}/data")
    for index, point in enumerate(points):
        if not isinstance(point, dict) or not _is_number(point.get("value")):
            check.fault("must be a finite number", f"{pointer}/data/{index}/value")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
