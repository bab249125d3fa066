"""What people mean without the politeness around it: "could you please stop now?" is "stop".

Blanks are made single first, so that no pattern ever sees a run of them.
"""

import re
from dataclasses import dataclass

_WORDS = (
    r"(?:ok|okay|please|pls|hey|hi|hello|now|so|well|and|also|just|actually|then|thanks"
    r"|thank you|oh|alright|all right|maybe|perhaps|sorry|but)\b[ ,.!]*"
)
_ASKED = (
    r"(?:(?:can|could|would|will) (?:you|we)|(?:you|we) (?:can|could|may|might|should|must)"
    r"|let(?:'?s| us)|i(?:'d| would) (?:like|love|prefer)(?: you| us)? to"
    r"|i (?:want|need)(?: you| us)? to|i think (?:you|we) (?:can|could|should)"
    r"|go ahead and|feel free to) "
)
_BEFORE = re.compile(rf"(?:{_WORDS}|{_ASKED})+", re.IGNORECASE)
_AFTER = (
    "thank you", "right now", "for now", "at once", "immediately", "please", "thanks", "instead",
    "if possible", "if you can", "okay", "pls", "thx", "now", "then", "too", "ok",
)  # fmt: skip
"""What is no part of a wish at its end; those that end with another of them come before it."""
_MARKS = " .!?,;…`*"


@dataclass(frozen=True, slots=True)
class Wording:
    """Words of a person: `asked` is without what is said before, `bare` also without the end."""

    text: str
    asked: str
    bare: str

    @classmethod
    def of(cls, text: str) -> "Wording":
        """Takes time in proportion to the length of the text."""
        flat = single_spaced(text)
        before = _BEFORE.match(flat)
        asked = (flat[before.end() :] if before else flat).lstrip(_MARKS)
        return cls(text, asked, _without_end(asked))

    def own(self, start: int) -> str:
        """What stands in `asked` from `start` on, with the person's own lines."""
        flat = single_spaced(self.text)
        at = len(flat) - len(self.asked) + start
        words = self.text.split(None, flat.count(" ", 0, at))
        return words[-1][at - (flat.rfind(" ", 0, at) + 1) :].strip() if words else ""


def single_spaced(text: str) -> str:
    """The text in one line, with plain apostrophes."""
    return " ".join(text.split()).replace("’", "'")


def _without_end(asked: str) -> str:
    bare = asked.rstrip(_MARKS)
    while end := next((end for end in _AFTER if bare.lower().endswith(f" {end}")), None):
        bare = bare[: -len(end)].rstrip(_MARKS)
    return bare
