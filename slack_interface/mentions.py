"""Keeping an answer from calling everybody: a model's words notify nobody but whom they answer."""

from dataclasses import dataclass

CALLS = ("<!channel", "<!here", "<!everyone", "<!group", "<!subteam", "<@everyone", "<@here")
"""How Slack writes a call to many, as far as it takes to tell it from other text."""

_JOINER = "\u2060"
"""No width and no line break: what is shown looks the same, and Slack reads no call in it."""


@dataclass(slots=True)
class MentionGuard:
    """Passes text on piece by piece; a call that is spread over pieces is caught as well."""

    _held: str = ""

    def passes(self, piece: str) -> str:
        """What may be shown now; what might become a call waits for the next piece."""
        if not self._held and "<" not in piece:
            return piece
        text = self._held + piece
        for call in CALLS:
            text = text.replace(call, f"<{_JOINER}{call[1:]}")
        start = text.rfind("<")
        self._held = text[start:] if start >= 0 and _may_become_a_call(text[start:]) else ""
        return text[: len(text) - len(self._held)]

    def rest(self) -> str:
        """What still waits when all has been said."""
        held, self._held = self._held, ""
        return held


def _may_become_a_call(tail: str) -> bool:
    return any(call.startswith(tail) for call in CALLS)
