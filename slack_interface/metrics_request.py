"""What somebody means by `/metrics ...`, read forgivingly."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from database.errors import InputError

Scope = Literal["me", "person", "channel", "agent", "everyone"]

USAGE = (
    "Say `/metrics [me | @person | #channel | agent NAME | everyone] [today | 7d | 30 days]`, "
    "for example `/metrics me 7d` or `/metrics agent coder 30d`."
)
MAX_DAYS = 365
DEFAULT_DAYS = 30

_PERSON = re.compile(r"^<@([UW][A-Z0-9]+)(?:\|[^>]*)?>$")
_CHANNEL = re.compile(r"^<#([CG][A-Z0-9]+)(?:\|([^>]*))?>$")
_NAMED = re.compile(r"^([@#])([\w.-]+)$")
_SPAN = re.compile(r"^(\d{1,4})(d|days?|w|weeks?|m|months?|h|hours?)$", re.IGNORECASE)
_ME = frozenset({"me", "my", "mine", "myself"})
_EVERYONE = frozenset({"everyone", "everybody", "all", "team", "us", "workspace"})
_FILLER = frozenset({"for", "of", "the", "last", "past", "in", "from", "since", "show", "about"})
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 30.0}
_NAMED_SPANS = {"week": 7.0, "month": 30.0, "year": 365.0, "day": 1.0}


@dataclass(frozen=True, slots=True)
class MetricsRequest:
    """Whose figures and how far back; `who` is a person's or channel's id or an agent's name.

    Where Slack did not put the id in, it is the name as typed, `@ada` or `#general`.

    `days` None means since midnight.
    """

    scope: Scope = "everyone"
    who: str = ""
    days: float | None = DEFAULT_DAYS

    def since(self, now: datetime) -> float:
        """Start of the period; `now` carries the person's time zone."""
        if self.days is None:
            return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        return (now - timedelta(days=self.days)).timestamp()

    @property
    def period(self) -> str:
        """The period in words."""
        if self.days is None:
            return "today"
        if self.days < 1:
            return f"last {round(self.days * 24)} h"
        return f"last {round(self.days)} day" + ("" if round(self.days) == 1 else "s")


def parse_metrics(text: str, direct: bool) -> MetricsRequest:
    """What `text` asks for; nothing means `me` in a direct message and `everyone` elsewhere.

    Raises:
        InputError: with the word that was not understood and how to say it.
    """
    found = MetricsRequest(scope="me" if direct else "everyone")
    words = _joined_spans(text.replace(",", " ").split())
    while words:
        word = words.pop(0)
        if word.lower() in ("agent", "agents") and words:
            found = replace(found, scope="agent", who=words.pop(0))
        else:
            found = _understood(found, word)
    return found


def _joined_spans(words: list[str]) -> list[str]:
    """`7 days` as one word."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1].isdigit() and _SPAN.match(joined[-1] + word):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _understood(found: MetricsRequest, word: str) -> MetricsRequest:
    lowered = word.lower()
    if match := _PERSON.match(word):
        return replace(found, scope="person", who=match.group(1))
    if match := _CHANNEL.match(word):
        return replace(found, scope="channel", who=match.group(1))
    if match := _NAMED.match(word):
        return replace(found, scope="person" if match.group(1) == "@" else "channel", who=word)
    if lowered in _ME:
        return replace(found, scope="me")
    if lowered in _EVERYONE:
        return replace(found, scope="everyone")
    if lowered in ("today", "now"):
        return replace(found, days=None)
    if lowered in _FILLER:
        return found
    return replace(found, days=_days(word))


def _days(word: str) -> float:
    if word.lower() in _NAMED_SPANS:
        return _NAMED_SPANS[word.lower()]
    match = _SPAN.match(word if not word.isdigit() else f"{word}d")
    if match is None:
        raise InputError(f"I do not understand “{word}”. {USAGE}")
    days = int(match.group(1)) * _DAYS[match.group(2)[0].lower()]
    if not 0 < days <= MAX_DAYS:
        raise InputError(f"“{word}” is not between 1 hour and {MAX_DAYS} days. {USAGE}")
    return days
