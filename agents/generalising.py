"""Turning concrete requests into templates: which values of them may differ next time.

Deterministic and explainable: a fixed list of shapes, tried in order, never a model.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MONTHS = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_CAPITALISED = r"[A-ZÀ-Þ][\w&.'’-]*(?:[ ](?:(?:of|de|van|von|and|&)[ ])?[A-ZÀ-Þ0-9][\w&.'’-]*)*"

_SHAPES: tuple[tuple[str, str], ...] = (
    # What was redacted when the request was recorded has to be given anew.
    ("{0}", r"\[(?P<value>[a-z][a-z_ ]{1,20})\]"),
    ("text", r"\"(?P<value>[^\"\n]{1,300})\"|“(?P<value2>[^”\n]{1,300})”|`(?P<value3>[^`\n]+)`"),
    ("person", r"(?P<value><@[A-Z0-9]+(?:\|[^>]*)?>)"),
    ("channel", r"(?P<value><#[A-Z0-9]+(?:\|[^>]*)?>)"),
    ("link", r"(?P<value>https?://[^\s<>|]+[^\s<>|.,;:!?)])"),
    ("date", r"\b(?P<value>\d{4}-\d{2}-\d{2})\b"),
    ("date", r"\b(?P<value>\d{1,2}[./]\d{1,2}[./]\d{2,4})\b"),
    ("date", rf"\b(?P<value>\d{{1,2}}(?:st|nd|rd|th)?[ ]{_MONTHS}(?:[ ]\d{{4}})?)\b"),
    ("date", rf"\b(?P<value>{_MONTHS}[ ]\d{{1,2}}(?:st|nd|rd|th)?(?:,?[ ]\d{{4}})?)\b"),
    ("month", rf"\b(?P<value>{_MONTHS}[ ]\d{{4}})\b"),
    ("quarter", r"\b(?P<value>Q[1-4](?:[ /-]?\d{4})?)\b"),
    ("day", r"\b(?P<value>(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|today|tomorrow|yesterday)\b"),
    ("time", r"(?i)\b(?P<value>\d{1,2}:\d{2}(?:[ ]?[ap]m)?|\d{1,2}[ ]?[ap]m)\b"),
    ("number", r"(?<![\w.])(?P<value>[$€£]?\d+(?:[,.]\d+)*(?:[ ]?%)?)(?![\w]|\.\d)"),
    ("place", rf"\b(?:in|at|near)[ ](?P<value>{_CAPITALISED})"),
    (
        "name",
        rf"\b(?:for|from|to|with|about|of|by|named|called|customer)[ ](?P<value>{_CAPITALISED})",
    ),
)
_COMPILED = tuple((name, re.compile(pattern)) for name, pattern in _SHAPES)
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")

MAX_INPUTS = 20


@dataclass(frozen=True, slots=True)
class WorkflowInput:
    """One blank of a workflow; `example` is what stood there, empty where it must be given."""

    name: str
    example: str


def generalised(texts: Sequence[str]) -> tuple[list[str], list[WorkflowInput]]:
    """Templates of the texts with `{name}` for each value, and the inputs in order of first use.

    The same value is the same input everywhere.
    """
    inputs: dict[str, WorkflowInput] = {}
    taken = {name for text in texts for name in _PLACEHOLDER.findall(text)}
    templates = [_template(text, inputs, taken) for text in texts]
    return templates, list(inputs.values())


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its inputs replaced; braces that name no input stay as they are."""
    return _PLACEHOLDER.sub(lambda m: values.get(m[1], m[0]), template)


def _template(text: str, inputs: dict[str, WorkflowInput], taken: set[str]) -> str:
    pieces: list[str] = []
    end = 0
    for start, stop, name, redacted in _values(text):
        value = text[start:stop]
        known = inputs.get(value)
        if known is None:
            if len(inputs) >= MAX_INPUTS:
                continue
            known = WorkflowInput(_free(name, taken), "" if redacted else value)
            taken.add(known.name)
            inputs[value] = known
        pieces += [text[end:start], "{", known.name, "}"]
        end = stop
    return "".join([*pieces, text[end:]])


def _values(text: str) -> list[tuple[int, int, str, bool]]:
    """Where values stand, first to last; of two that overlap the earlier shape wins."""
    found: list[tuple[int, int, str, bool]] = []
    taken = bytearray(len(text))
    for name, pattern in _COMPILED:
        for match in pattern.finditer(text):
            group = next(key for key, value in match.groupdict().items() if value is not None)
            redacted = name == "{0}"
            start, stop = match.span() if redacted else match.span(group)
            if not any(taken[start:stop]):
                taken[start:stop] = b"\1" * (stop - start)
                called = re.sub(r"\W+", "_", match[group]) if redacted else name
                found.append((start, stop, called, redacted))
    return sorted(found)


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
