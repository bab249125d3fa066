"""Pure: what people's words say of the right answer, as a check (agents/checks).

Only what can be checked without doubt becomes one: a label out of choices that stand in the
request, a number, a date, yes or no, a few words that name a thing. Everything else gives None.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from agents.checks.reading import bare, mentions, numbers_of, plain, unbulleted, unfenced, words_of

MAX_CHOICES = 200
_MAX_CHOICE_CHARACTERS = 60
_MAX_CHOICE_WORDS = 6
_SHORT_WORDS = 15
_NUMBER_WORDS = 8
_NAME_WORDS = 4
_READ = 10_000
"""Characters of a request that are looked at."""

_CUE = r"""\b(?:
        (?:choose|pick|select|answer|reply|respond)\s+(?:one\s+of|between|from|with(?:\s+one\s+of)?)
        |(?:pick|choose)\s+one
        |(?:any\s+|which\s+)?one\s+of(?:\s+(?:these|the\s+following))?
        |(?:choices|options|labels|categories|intents|classes|tags|topics|types|teams|queues|from)\b
        |(?:sort|classify|label|tag|file|mark|categori[sz]e|route)\b[^.:;?!\n]{0,60}?\b(?:as|into|to)
        |(?:is|was)\s+(?:it|this|that)
        |either
    )\b"""
_LISTS = tuple(
    re.compile(_CUE + between + r"(?P<list>[^.?!\n()]+)", re.IGNORECASE | re.VERBOSE)
    for between in (r"[^:,;|()\n]{0,40}:\s*", r"\s*\(", r"\s+")
)
"""Introduced by a colon, in brackets, or at once."""
_AFTER_COLON = re.compile(r":\s*([^.?!:\n()]+\bor\b[^.?!:\n()]+)")
_IN_BRACKETS = re.compile(r"\(([^()\n]+\bor\b[^()\n]+)\)")
_LAST_WORDS = re.compile(r"\s+(?:only|exactly|please|and nothing else)$", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*[,;|]\s*(?:(?:or|and)\s+)?|\s+or\s+|\s+/\s+", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.)])\s+(?P<item>\S.*)$")

_CODE = re.compile(r"```|[{}]|[<>=]=|;\s*$|\bselect\b.+\bfrom\b", re.IGNORECASE | re.DOTALL)
_DATE = re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?!\d)")
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|old|long|far|tall|often)\b|\b(?:calculate|compute|count|sum|total|average"
    r"|mean|median|percent(?:age)?|difference|product|add up|number of)\b|\d\s*[-+*/x×÷%^]\s*\d",
    re.IGNORECASE,
)
_ASKS_NAME = re.compile(
    r"^\W*(?:what|which|who|whose|whom|when|where|name)\b|\b(?:only|just) the\b|\bone word\b"
    r"|\b(?:answer|reply) with\b|\bonly\b\W*$",
    re.IGNORECASE,
)
_ASKS_ONLY = re.compile(r"\bonly\b|\bone word\b|\bjust the\b|\bnothing else\b", re.IGNORECASE)
_STATES = re.compile(
    r"""(?:
        \b(?:the\s+)?(?P<right>right|correct|expected|proper|actual|real|true)\s+
            (?:(?:answer|label|value|result|one|number|date|category|intent)\s*)?
            (?:is|was|would\s+(?:be|have\s+been)|should\s+(?:be|have\s+been)|:|=)
        |\b(?:should|must|ought\s+to)\s+(?:be|have\s+been|say|have\s+said)
        |\b(?:answer|label|result)\s*(?:is|was|:|=)
        |\bit\s*(?:(?:'|’)s|is|was)(?!\s*(?:not|wrong|n't)\b)
    )\s*(?P<answer>\S.*)""",
    re.IGNORECASE | re.VERBOSE,
)
_NAMES = frozenset({"equals", "contains_all"})
_ENDS = re.compile(
    r"(?<=[^\d])[.!;](?:\s|$)|[.!;]$|,?\s+(?:not|instead|rather than|but|because)\b|\n"
)


def choices_in(request: str) -> tuple[str, ...]:
    """The answers to choose from that stand in a request; () where it leaves no such choice."""
    request = request[:_READ]
    for found in (_bulleted(request), *(_items(s) for s in _segments(request))):
        if found:
            return found
    return ()


def check_of(request: str, answer: str) -> dict[str, Any] | None:
    """What every right answer must satisfy, if this one is right."""
    said = unfenced(answer)
    if not said or len(words_of(said)) > _SHORT_WORDS or _CODE.search(answer):
        return None
    choices = choices_in(request)
    if choices:
        return _label(choices, said)
    if len(set(_DATE.findall(said))) == 1:
        return {"kind": "date", "expected": _DATE.findall(said)[0]}
    if bare(said) in ("yes", "no"):
        return {"kind": "pattern", "pattern": rf"(?i)^\W*{bare(said)}\b"}
    return _number(request, said) or _name(request, said)


def stated_check(request: str, words: str) -> dict[str, Any] | None:
    """The check that somebody's words about an answer give: "no, it should be billing"."""
    choices = choices_in(request)
    if choices:
        return _label(choices, _without_denied(words, choices))
    match = _STATES.search(words)
    if match:
        stated = _ENDS.split(match["answer"], maxsplit=1)[0].strip(" \"'“”‘’`:")
        found = check_of(request, stated) if stated else None
        # "it should be shorter" names nothing
        sure = match["answer"][:1] in "\"'“‘`" or stated[:1].isupper() or match["right"]
        return found if found and (sure or found["kind"] not in _NAMES) else None
    found = check_of(request, words.rpartition(": ")[2])
    # A few words by themselves may be an answer or a remark: only what has a form is believed.
    return found if found and found["kind"] in ("number", "date") else None


def same_answer(request: str, one: str, other: str) -> bool:
    """Whether two answers say the same, as far as that is without doubt."""
    if bare(unfenced(one)) == bare(unfenced(other)):
        return True
    first, second = check_of(request, one), check_of(request, other)
    return first is not None and first == second


def questions_alike(request: str) -> str:
    """What identical requests have in common, whatever their case and spacing."""
    return plain(request).strip(" .!?")


def _segments(request: str) -> list[str]:
    cued = [match["list"] for pattern in _LISTS for match in pattern.finditer(request)]
    return [*cued, *_AFTER_COLON.findall(request), *_IN_BRACKETS.findall(request)]


def _bulleted(request: str) -> tuple[str, ...]:
    """A list of lines, introduced by a line that ends in a colon."""
    lines = request.splitlines()
    for at, line in enumerate(lines):
        if not line.rstrip().endswith(":"):
            continue
        items = []
        for below in lines[at + 1 :]:
            match = _BULLET.match(below)
            if match is None:
                break
            items.append(unbulleted(below))
        if found := _as_choices(items):
            return found
    return ()


def _items(segment: str) -> tuple[str, ...]:
    return _as_choices(_BETWEEN.split(segment))


def _as_choices(items: Sequence[str]) -> tuple[str, ...]:
    if len(items) > 1 and all(len(item.split()) == 1 for item in items[1:]):
        items = [*items[0].split()[-1:], *items[1:]]  # "the comment positive, negative or neutral"
    cleaned = [_LAST_WORDS.sub("", item.strip()).strip(" \"'“”‘’`*:") for item in items]
    if any(
        not item
        or len(item) > _MAX_CHOICE_CHARACTERS
        or len(item.split()) > _MAX_CHOICE_WORDS
        or not re.search(r"\w", item)
        for item in cleaned
    ):
        return ()
    found = tuple({plain(item): item for item in cleaned}.values())
    return found if 2 <= len(found) <= MAX_CHOICES else ()


def _label(choices: Sequence[str], said: str) -> dict[str, Any] | None:
    exact = [choice for choice in choices if bare(choice) == bare(said)]
    named = exact or _longest(choice for choice in choices if mentions(said, choice))
    if len(named) != 1:
        return None
    [expected] = named
    if _overlaps(expected, choices):
        return {"kind": "equals", "values": [expected]}
    return {"kind": "label", "labels": list(choices), "expected": expected}


def _longest(named: Iterable[str]) -> list[str]:
    """Those that are not only said as a part of a longer one."""
    found = list(named)
    return [one for one in found if not any(o != one and mentions(o, one) for o in found)]


def _overlaps(expected: str, choices: Sequence[str]) -> bool:
    """Whether naming the label names another one too, so that no answer names it alone."""
    return any(other != expected and mentions(expected, other) for other in choices)


def _without_denied(words: str, choices: Sequence[str]) -> str:
    """The words without the choices that they deny ("not billing")."""
    for choice in sorted(choices, key=len, reverse=True):
        denied = rf"\b(?:not|isn(?:'|’)?t|instead\s+of|rather\s+than|never|wasn(?:'|’)?t)\s+" \
            rf"(?:an?\s+|the\s+)?[\"'“‘`]?{re.escape(choice)}(?!\w)"  # fmt: skip
        words = re.sub(denied, " ", words, flags=re.IGNORECASE)
    return words


def _number(request: str, said: str) -> dict[str, Any] | None:
    numbers = numbers_of(said)
    alone = re.fullmatch(r"[-+]?[$€£]?[\d.,]+\s*[%$€£]?", bare(said)) is not None
    asked = len(words_of(said)) <= _NUMBER_WORDS and _ASKS_NUMBER.search(request)
    if len(set(numbers)) != 1 or not (alone or asked):
        return None
    return {"kind": "number", "expected": numbers[0]}


def _name(request: str, said: str) -> dict[str, Any] | None:
    named = bare(said, cased=True)
    few = len(words_of(named)) <= _NAME_WORDS and "\n" not in said and "?" not in said
    if not few or not _ASKS_NAME.search(request.strip()):
        return None
    if _ASKS_ONLY.search(request):
        return {"kind": "equals", "values": [named]}
    return {"kind": "contains_all", "terms": [named]}
