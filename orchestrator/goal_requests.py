"""Which requests need a plan: those that say so, and those that ask for several different works.

Rules, so that anybody can see why: `reason` says it. They read English; in any language "plan:" or
"goal:" in front of a request asks for a plan.
"""

import re

from goals.pieces import heavy, pieces

LEAST_PIECES = 3
"""Two things asked for at once are one answer; three different works need a plan."""

LEAST_HEAVY = 1
LEAST_WORDS = 10

_ASKED_FOR = re.compile(r"^\s*(?:plan|goal)\s*:\s*(?=\S)", re.IGNORECASE)


def wants_goal(text: str) -> bool:
    """Whether this request needs a plan; takes a tenth of a millisecond."""
    return bool(reason(text))


def asks_for_plan(text: str) -> bool:
    """Whether somebody says in so many words that they want a plan."""
    return bool(_ASKED_FOR.match(text))


def reason(text: str) -> str:
    """Why this request needs a plan, in words for the person; '' where it needs none."""
    if asks_for_plan(text):
        return "You asked for a plan."
    asked = pieces(text)
    if len(asked) < LEAST_PIECES or len(text.split()) < LEAST_WORDS:
        return ""
    if sum(heavy(piece) for piece in asked) < LEAST_HEAVY:
        return ""
    return f"This asks for {len(asked)} pieces of work."


def goal_text(text: str) -> str:
    """The request without the word that asks for a plan."""
    return _ASKED_FOR.sub("", text, count=1)
