"""What people say about a plan in its thread: "how is it going?", "skip step 3", "add a step ...".

Only whole messages count, and only in the thread of a plan: whatever is not clearly one of these is
an ordinary message.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from slack_interface.typed import is_stop

Act = Literal["status", "start", "cancel", "skip", "model", "change", "answer", "results"]
Model = Literal["fast", "strong"]

MOST_CHARS = 2_000
"""A longer message is no word about a plan; so long may a wish be."""


@dataclass(frozen=True, slots=True)
class GoalWord:
    """What is wanted: `numbers` are steps, `words` the wish, the answer or the reason."""

    act: Act
    numbers: tuple[int, ...] = ()
    words: str = ""
    model: Model = field(default="fast")


_ORDINALS = {
    name: number
    for number, names in enumerate(
        ("first 1st", "second 2nd", "third 3rd", "fourth 4th", "fifth 5th", "sixth 6th",
         "seventh 7th", "eighth 8th", "ninth 9th", "tenth 10th"),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_NUMBERS = {
    name: number
    for number, name in enumerate(
        [
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ],
        start=1,
    )
}

_POLITE = re.compile(
    r"^(?:(?:ok|okay|please|hey|hi|now|so|well|and|thanks)\b[\s,.!]*"
    r"|(?:can|could|would|will) you\s+(?:please\s+)?)+",
    re.IGNORECASE,
)
_END = re.compile(r"[\s,]*(?:\b(?:please|thanks|thank you|now|then)\b)?[\s.!?]*$", re.IGNORECASE)

_ONE = r"(?:\d{1,3}|" + "|".join(_NUMBERS) + r")"
_LIST = rf"{_ONE}(?:\s*(?:,|and|&|,\s*and)\s*{_ONE})*"
_STEP = (
    rf"(?:the\s+)?(?:(?:steps?|tasks?|numbers?|no\.?|nr\.?|#)\s*#?(?P<list>{_LIST})"
    rf"|(?P<bare>{_LIST})|(?P<ordinal>{'|'.join(_ORDINALS)})\s+(?:step|task|one))"
)
_WHOLE = r"(?:it|this|that|everything|all(?: of it)?|(?:the|this) (?:plan|goal|work|whole thing))"

_STATUS = re.compile(
    r"(?:how(?:'s| is| are)\s+(?:it|this|that|things|the (?:plan|goal|work)|everything)"
    r"\s*(?:going|coming(?: along| on)?|doing|looking|progressing)?(?: so far)?"
    r"|how (?:far|long)(?: (?:along|far|more|still))?"
    r"(?: (?:are (?:you|we)|is (?:it|this)|have you (?:got|come)|will (?:it|this|that) take))?"
    r"(?: still)?(?: left)?"
    r"|(?:what(?:'s| is) the |any |the )?(?:status|progress)(?: update)?"
    r"(?: of (?:it|this|the plan))?"
    r"|any (?:news|updates?)|where (?:are we|are you|is it)|what are you (?:doing|at)"
    r"|(?:are (?:you|we)|is it|is this) (?:done|ready|finished|still running)(?: yet)?"
    r"|when (?:will|is) (?:it|this|that) (?:be )?(?:done|ready|finished)"
    r"|show (?:me )?the plan|what is left|what's left)",
    re.IGNORECASE,
)
_START = re.compile(
    r"(?:yes[\s,!.]*)?(?:start|begin|go(?: ahead| for it| on)?|run|do|proceed|let's go|launch)"
    rf"(?:\s+{_WHOLE})?|yes|y|yep|yeah|sure|ok|okay|approved?|looks? good(?: to me)?|lgtm",
    re.IGNORECASE,
)
_CANCEL = re.compile(
    rf"(?:stop|cancel|abort|end|halt|drop|forget|kill)\s+{_WHOLE}"
    rf"|(?:do not|don't|never) (?:do|start|run|begin)(?:\s+{_WHOLE})?",
    re.IGNORECASE,
)
_SKIP = re.compile(
    rf"(?:(?:skip|omit|drop|remove|delete|leave out|go on without|do without|without)\s+{_STEP}"
    r"|leave\s+(?:out\s+)?(?:the\s+)?step\s*#?(?P<out>\d{1,3})\s+out)"
    r"(?:\s*(?:[,:;]|because|as|since)\s*(?P<why>.{1,300}))?",
    re.IGNORECASE | re.DOTALL,
)
_MODEL = re.compile(
    r"(?:(?:use|try|take|switch to|change to|go on with|continue with|run (?:it|this) (?:with|on)"
    r"|do (?:it|this) with|with)\s+)(?:the|a|your)?\s*"
    r"(?P<kind>cheap(?:er|est)?|fast(?:er|est)?|quick(?:er|est)?|small(?:er|est)?|light(?:er)?"
    r"|strong(?:er|est)?|better|best|big(?:ger|gest)?|large(?:r|st)?|smart(?:er|est)?"
    r"|good|slow(?:er)?)\s+(?:model|one|llm)(?:\s+from here on)?",
    re.IGNORECASE,
)
_STRONG = ("strong", "bett", "best", "big", "larg", "smart", "good", "slow")
_CHANGE = re.compile(
    r"(?:change(?: the plan| it)?\s*[:,]\s*(?P<wish>.+)"
    r"|(?:add|insert|append|include|put in)\s+(?:a|an|one|another|one more)?\s*"
    r"(?:new\s+|more\s+|further\s+|extra\s+)?(?:step|task)\b.*\S.*"
    r"|(?:change|replace|swap|move|split|merge|redo|rewrite)\s+(?:the\s+)?(?:steps?|tasks?)\b.+"
    r"|change the plan\b.+|(?:steps?|tasks?)\s*#?\d{1,3}\s+should\b.+"
    r"|(?:do|put)\s+step\s*#?\d{1,3}\s+(?:before|after|first|last)\b.*)",
    re.IGNORECASE | re.DOTALL,
)
_ANSWER = re.compile(
    rf"(?:answer(?:\s+(?:to|for))?\s*)?(?:step|task)\s*#?(?P<number>{_ONE})\s*[:=]\s*(?P<text>.+)"
    r"|answer\s*:\s*(?P<only>.+)",
    re.IGNORECASE | re.DOTALL,
)
_RESULTS = re.compile(
    rf"(?:show|give|tell)(?:\s+me)?\s+(?:the\s+)?results?(?:\s+(?:of|from|so far)\s*(?:{_STEP})?)?"
    r"|(?:the\s+)?results?(?:\s+so far)?"
    r"|what (?:did|does|has) (?:the )?step\s*#?(?P<said>\d{1,3})"
    r"\s+(?:say|find(?: out)?|found|give|come to|bring|do|done)"
    r"|show(?:\s+me)?\s+step\s*#?(?P<shown>\d{1,3})",
    re.IGNORECASE,
)


def goal_word(text: str) -> GoalWord | None:
    """What a message in the thread of a plan asks for; None where it is an ordinary message."""
    text = text.strip()
    if not text or len(text) > MOST_CHARS:
        return None
    if is_stop(text):
        return GoalWord("cancel")
    asked = _POLITE.sub("", text)
    bare = _END.sub("", asked)
    for pattern, read in _PATTERNS:
        found = pattern.fullmatch(bare or asked)
        if found and (word := read(found, asked)):
            return word
    if any(_START.fullmatch(words) for words in (bare, _END.sub("", text))):
        return GoalWord("start")
    return None


def yes_or_no(text: str) -> bool | None:
    """Whether somebody agrees; None where the words are neither."""
    said = " ".join(_END.sub("", text).casefold().replace(",", " ").split())
    return _AGREED.get(said)


_AGREED: Mapping[str, bool] = {
    **dict.fromkeys(("yes", "y", "yep", "yeah", "sure", "ok", "okay", "go on", "go ahead", "go",
                     "continue", "proceed", "yes go on", "yes go ahead", "do it"), True),
    **dict.fromkeys(("no", "n", "nope", "no thanks", "no thank you", "stop", "cancel", "stop it",
                     "don't", "do not", "no stop", "stop here"), False),
}  # fmt: skip


def _numbers(text: str | None) -> tuple[int, ...]:
    words = re.findall(rf"\d{{1,3}}|{'|'.join(_NUMBERS)}", (text or "").lower())
    return tuple(int(word) if word.isdigit() else _NUMBERS[word] for word in words)


def _steps(found: re.Match[str]) -> tuple[int, ...]:
    """The steps that a match names."""
    groups = found.groupdict()
    if ordinal := groups.get("ordinal"):
        return (_ORDINALS[ordinal.lower()],)
    for name in ("list", "bare", "out", "said", "shown", "number"):
        if groups.get(name):
            return _numbers(groups[name])
    return ()


def _skip(found: re.Match[str], text: str) -> GoalWord | None:
    return GoalWord("skip", _steps(found), (found["why"] or "").strip())


def _model(found: re.Match[str], text: str) -> GoalWord | None:
    strong = found["kind"].lower().startswith(_STRONG)
    return GoalWord("model", model="strong" if strong else "fast")


def _change(found: re.Match[str], text: str) -> GoalWord | None:
    """The wish in the person's own words, but for the politeness before it."""
    wish = found["wish"]
    return GoalWord("change", words=(text[found.start("wish") :] if wish else text).strip())


def _answer(found: re.Match[str], text: str) -> GoalWord | None:
    name = "text" if found["text"] else "only"
    return GoalWord("answer", _steps(found), text[found.start(name) :].strip())


_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], str], GoalWord | None]], ...] = (
    (_STATUS, lambda found, text: GoalWord("status")),
    (_CANCEL, lambda found, text: GoalWord("cancel")),
    (_ANSWER, _answer),
    (_SKIP, _skip),
    (_MODEL, _model),
    (_CHANGE, _change),
    (_RESULTS, lambda found, text: GoalWord("results", _steps(found))),
)
