"""What people ask and say about learning itself, read forgivingly: pure.

A question is ours if each of its words can be about us: `what patterns did you find in the data?`
is for the models, and so is everything that speaks of `this` or `it`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Topic = Literal["patterns", "improve", "learned", "cost"]

MOST_CHARS = 160
MAX_DAYS = 365
DEFAULT_DAYS: Mapping[Topic, float] = {"patterns": 7, "improve": 7, "learned": 7, "cost": 7}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[a-z0-9]+")
_OPENERS = _words(
    "what which how did have show tell list any give whats please so and hey hi hello"
)
_COMMON = _words(
    "what which whats how much many did do does have has had can could will would should are is "
    "was were been be you your yourself we us me our i the a an any some new all of from in on "
    "for to and or with by tell show list give please so far about there going get hey hi hello "
    "then other more ones kind kinds s ve currently right at during over"
)
_PERIOD_WORDS = _words(
    "yesterday today tonight now week weeks month months year day days hour hours last past "
    "recent recently lately since previous latest next morning tomorrow 24h 7d 30d"
)
_FOUND = _words(
    "find found see saw seen spot spotted notice noticed discover discovered detect detected know"
)
_LEARN = _words("learn learned learnt learning")
_TALK = _words(
    "interactions interaction conversations conversation feedback answers mistakes errors "
    "questions requests chats people users team anything something things lessons channel "
    "workspace"
)
_COST = _words("cost costs spend spent save saved saving expensive")
_MONEY = _words(
    "money time dollars tokens minutes hours team company workspace everybody everyone bill it out"
)
_SAVING = _words("save saved saving")
_THINGS = _words("bill it out")
_SAVES_US = re.compile(
    r"\bsav(?:e|ed|ing)\s+(?:us|(?:the|our)\s+(?:team|company|workspace)|everybody|everyone"
    r"|(?:(?:us|any|some)\s+)?(?:money|dollars|tokens|time))\b"
    r"|\bhow many (?:dollars|tokens|minutes|hours|days)\b"
)
_BETTER = _words("improve improving improvement improvements better")
_PLANS = _words("suggest suggesting propose proposing change changing try trying")
_SELF = _words("yourself your")
_VERBS = _words("become do planning plan want own answers performance replies work")
_SPAN = re.compile(r"\b(?:last|past|previous)?\s*(\d{1,4})\s*(h|hours?|d|days?|w|weeks?|months?)\b")
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 30.0}


_WHY = re.compile(
    r"^(?:but\s+)?(?:why|why (?:this|that|so)|(?:show|what(?:'s| is)|give)?\s*(?:me\s+)?(?:the\s+)?"
    r"evidence|how do you know(?: that)?)\s*[?!.]*$",
    re.IGNORECASE,
)
_WHY_ID = re.compile(r"^why\s+`?([0-9a-f]{8}[0-9a-f-]{0,28})`?\s*\??$", re.IGNORECASE)
_CONCLUDE = re.compile(r"^conclu(?:de|sion)\s*:\s*(.+)$", re.IGNORECASE | re.DOTALL)
_VERDICT = re.compile(r"^(approve|reject)(?:\s*:\s*(.*))?[.!]?$", re.IGNORECASE | re.DOTALL)

Act = Literal["why", "conclude", "approve", "reject"]


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks about learning; `since` and `until` are seconds since the epoch.

    `period` says it in words.
    """

    topic: Topic
    since: float
    until: float
    period: str


def topic_of(text: str) -> Topic | None:
    """What the question is about, if it is about learning."""
    if len(text) > MOST_CHARS or "\n" in text.strip():
        return None
    plain = re.sub(r"\bthis (week|month|year|morning)\b", r"\1", text.lower().replace("’", "'"))
    words = _WORD.findall(plain)
    if len(words) < 3 or words[0] not in _OPENERS or not {"you", "your", "yourself"} & {*words}:
        return None
    rest = {word for word in words if not word.isdigit()} - _COMMON - _PERIOD_WORDS
    if {"pattern", "patterns"} & rest and rest <= {"pattern", "patterns"} | _FOUND | _TALK:
        return "patterns"
    if rest & _LEARN and rest <= _LEARN | _TALK:
        return "learned"
    if _asks_cost(plain, rest):
        return "cost"
    asks = words[0] in ("how", "what") and _asks_plans(words, rest)
    return "improve" if asks else None


def _asks_cost(plain: str, rest: set[str]) -> bool:
    """`what did you save?` may also mean a workflow, `what did you save us?` does not."""
    if not rest & _COST or not rest <= _COST | _MONEY:
        return False
    if "much" in plain or rest & (_COST - _SAVING):
        return True
    return not rest & _THINGS and _SAVES_US.search(plain) is not None


def _asks_plans(words: list[str], rest: set[str]) -> bool:
    """`how can you improve?` is about ourselves, `how would you improve ...` about a text."""
    if not rest & (_BETTER | _PLANS) or not rest <= _BETTER | _PLANS | _VERBS | _TALK:
        return False
    about_self = bool(_SELF & {*words})
    if rest & _BETTER:
        return about_self or ("you" in words and "would" not in words)
    return about_self


def question(text: str, now: datetime) -> Question | None:
    """The question about learning in a message, if it is one; `now` carries the person's zone."""
    topic = topic_of(text)
    if topic is None:
        return None
    since, until, period = _period(text.lower(), now, DEFAULT_DAYS[topic])
    return Question(topic, since.timestamp(), until.timestamp(), period)


def _period(text: str, now: datetime, days: float) -> tuple[datetime, datetime, str]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - timedelta(days=midnight.weekday())
    named = (
        (r"yesterday", midnight - timedelta(days=1), midnight, "yesterday"),
        (r"today|now|this morning|tonight", midnight, now, "today"),
        (r"(?:last|previous|past) week", monday - timedelta(days=7), monday, "last week"),
        (r"this week", monday, now, "this week"),
        (r"this month", midnight.replace(day=1), now, "this month"),
        (r"(?:last|previous|past) month", now - timedelta(days=30), now, "in the last 30 days"),
    )
    for pattern, since, until, words in named:
        if re.search(rf"\b(?:{pattern})\b", text):
            return since, until, words
    if match := _SPAN.search(text):
        days = min(MAX_DAYS, int(match.group(1)) * _DAYS[match.group(2)[0]]) or days
    return now - timedelta(days=days), now, f"in the last {_spoken(days)}"


def _spoken(days: float) -> str:
    if days < 1:
        hours = round(days * 24)
        return f"{hours} hours" if hours != 1 else "hour"
    return f"{days:g} days" if days != 1 else "24 hours"


@dataclass(frozen=True, slots=True)
class Said:
    """A word in the thread of a card that means something there."""

    act: Act
    words: str = ""


def said_below(text: str) -> Said | None:
    """What a message in the thread of a card asks for, if anything."""
    text = text.strip()
    if _WHY.match(text):
        return Said("why")
    if match := _CONCLUDE.match(text):
        return Said("conclude", match.group(1).strip())
    if match := _VERDICT.match(text):
        act: Act = "approve" if match.group(1).lower() == "approve" else "reject"
        return Said(act, (match.group(2) or "").strip())
    return None


def id_asked_about(text: str) -> str:
    """The id in `why ID`; '' where nobody asks that."""
    match = _WHY_ID.match(text.strip())
    return match.group(1).lower() if match else ""
