"""What a change of a document changes, line by line: pure, for people to read."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")
_FENCE = "```"
_ZERO_WIDTH = "\u200b"
DIFF_CHARS = 2600
"""With its fence and its heading a diff fits into one section."""


def changed_fields(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Sequence[str]:
    """The keys whose values differ, in the order in which they are written."""
    old, new = before or {}, after or {}
    keys = [*new, *(key for key in old if key not in new)]
    return [key for key in keys if _empty(old.get(key)) != _empty(new.get(key))]


def diff_lines(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[str]:
    """Each line begins with `-`, `+` or a space; texts are compared sentence by sentence."""
    lines: list[str] = []
    for key in changed_fields(before, after):
        lines += _field(key, (before or {}).get(key), (after or {}).get(key))
    return lines


def diff_text(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """A block of code for mrkdwn (unescaped words are not in it), cut where it is long."""
    lines = diff_lines(before, after)
    shown: list[str] = []
    size = 0
    for number, line in enumerate(lines):
        line = _safe(line)
        size += len(line) + 1
        if size > DIFF_CHARS:
            shown.append(f"… and {len(lines) - number} more lines")
            break
        shown.append(line)
    return f"{_FENCE}\n" + "\n".join(shown) + f"\n{_FENCE}"


def _field(key: str, old: object, new: object) -> Iterator[str]:
    one, two = _lines(old), _lines(new)
    if len(one) <= 1 and len(two) <= 1:
        yield from (f"- {key}: {line}" for line in one)
        yield from (f"+ {key}: {line}" for line in two)
        return
    yield f"  {key}:"
    for line in list(difflib.unified_diff(one, two, lineterm="", n=1))[2:]:
        if line.startswith("@@"):
            continue
        yield f"{line[0]}   {line[1:]}"


def _lines(value: object) -> list[str]:
    if _empty(value) is None:
        return []
    if isinstance(value, str):
        return [part for line in value.splitlines() for part in _SENTENCE.split(line)]
    if isinstance(value, bool | int | float):
        return [str(value).lower() if isinstance(value, bool) else f"{value:g}"]
    dumped = yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True, width=100)
    return dumped.strip().splitlines()


def _plain(value: Any) -> Any:
    """As YAML writes it without tags."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _empty(value: Any) -> Any:
    """Nothing, an empty list and an empty text are the same."""
    value = _plain(value)
    return None if value in ("", [], {}) else value


def _safe(line: str) -> str:
    """No line ends the block of code, mentions anybody or links."""
    line = line.replace(_FENCE, _ZERO_WIDTH.join(_FENCE))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
