"""What somebody wishes of a plan, where their words say it plainly; no model is asked for these."""

import re
from dataclasses import dataclass

_ADDED = re.compile(
    r"^\s*(?:please\s+|can you\s+|could you\s+)*(?:also\s+)?add\s+(?:one more|another|a|an)\s+"
    r"(?:extra\s+|new\s+)?(?:step|task)\s*(?P<at>(?:(?:after|before)\s+(?:step\s+)?\d+\s*)?)"
    r"[,:]?\s*(?:(?:that|which|where|who|to|for)\s+)?(?P<what>\S.*?)\s*$",
    re.IGNORECASE | re.DOTALL,
)
_SKIPPED = re.compile(
    r"^\s*(?:please\s+)?(?:skip|drop|remove|delete|leave out|cut|without|no)\s+"
    r"(?:the\s+)?(?:steps?|tasks?|numbers?)\s*(?P<numbers>#?\d+(?:(?:\s*,\s*|\s*and\s*|\s*&\s*)"
    r"(?:step\s+)?#?\d+)*)\s*[.!]?\s*$",
    re.IGNORECASE,
)
_HANDED = re.compile(
    r"^\s*(?:please\s+)?(?:let|have)\s+(?:the\s+)?(?P<agent>[a-z][a-z0-9-]*)\s+(?:do|take)\s+"
    r"(?:steps?|tasks?)\s*(?P<numbers>#?\d+(?:(?:\s*,\s*|\s*and\s*)(?:step\s+)?#?\d+)*)"
    r"\s*[.!]?\s*$",
    re.IGNORECASE,
)
_AT = re.compile(
    r"[,;]?\s*\b(?P<where>after|before|based on|from|using)\s+steps?\s*"
    r"(?P<numbers>\d+(?:(?:\s*,\s*|\s*and\s*)\d+)*)\s*[.!]?\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wished: a step `added` after or before some, steps `skipped`, or `handed` over.

    `words` is what was said. With none of these it needs a model to be understood.
    """

    words: str
    added: str = ""
    after: frozenset[int] = frozenset()
    before: frozenset[int] = frozenset()
    skipped: tuple[int, ...] = ()
    agent: str = ""
    handed: tuple[int, ...] = ()


def wish_of(words: str) -> Wish:
    """What these words wish of a plan; takes time in proportion to them, as blanks are single."""
    line = " ".join(words.split())
    if found := _SKIPPED.match(line):
        return Wish(words, skipped=_numbers(found["numbers"]))
    if found := _HANDED.match(line):
        return Wish(words, agent=found["agent"].lower(), handed=_numbers(found["numbers"]))
    if found := _ADDED.match(line):
        return _added(words, found["what"], found["at"])
    return Wish(words)


def asks_a_model(words: str) -> bool:
    """Whether a model has to be asked to do what these words wish."""
    wish = wish_of(words)
    return not wish.skipped and not wish.handed


def _added(words: str, what: str, at: str) -> Wish:
    after, before = frozenset[int](), frozenset[int]()
    place = _AT.search(what)
    if place:
        what = what[: place.start()]
    named = place["numbers"] if place else at
    where = place["where"] if place else at
    if "before" in where.lower():
        before = frozenset(_numbers(named))
    else:
        after = frozenset(_numbers(named))
    return Wish(words, added=what.strip(" .,;"), after=after, before=before)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(number) for number in re.findall(r"\d{1,4}", text)))
