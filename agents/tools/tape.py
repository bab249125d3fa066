"""What the tools returned in one answer, so that another version can be given the same."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agents.tools.base import Effect, PersonNeeded, ToolFailed

_NOT_DONE = "That was not done the last time, so its result is not known. Go on without it."

_Kept = str | ToolFailed | PersonNeeded


class Tape:
    """Records the results of the calls that are made, by tool and arguments.

    A `replay` of it answers the same calls with the same results. Of other calls it makes those
    that only read; what would change something is not done and noted in `missed`: what is answered
    without knowing its result cannot be compared.
    """

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._replaying = False
        self.missed: list[str] = []

    def replay(self) -> "Tape":
        """A tape that answers from this one."""
        tape = Tape()
        tape._kept = dict(self._kept)
        tape._replaying = True
        return tape

    async def result(
        self,
        tool: str,
        effect: Effect,
        arguments: Mapping[str, Any],
        call: Callable[[], Awaitable[str]],
    ) -> str:
        """What the tool returned, or what `call` returns now. Raises what the tool raises."""
        key = tool + json.dumps(arguments, sort_keys=True, default=str)
        kept = self._kept.get(key)
        if kept is None and self._replaying and effect == "write":
            self.missed.append(tool)
            raise ToolFailed(_NOT_DONE)
        if kept is None:
            kept = self._kept[key] = await _ended(call)
        if isinstance(kept, str):
            return kept
        raise kept


async def _ended(call: Callable[[], Awaitable[str]]) -> _Kept:
    try:
        return await call()
    except (ToolFailed, PersonNeeded) as end:
        return end
