"""Runbooks drafted from what people do again and again."""

import re
from collections.abc import Sequence
from typing import Any

from agents.runbooks import runbook_body
from database.records import Run

_NAME = 40
_WORD = re.compile(r"[a-z][a-z0-9]+")
_FILLER = frozenset(
    _WORD.findall(
        """an and are as at be by can could do for from give hello hey hi how in into is it make me
        my need of on or our please that the then there these this to up us want was we what when
        which who will with would you your"""
    )
)


def replayed(requests: Sequence[Run]) -> dict[str, Any]:
    """A workflow of these requests, one after the other, with inputs for what differs each time."""
    return runbook_body([(run.request, run.agent) for run in requests])


def guided(run: Run, steps: Sequence[str]) -> dict[str, Any]:
    """A workflow of one request that names the tools in the order that has worked."""
    order = ", then ".join(steps)
    return runbook_body([(f"{run.request}\n\nWork in this order: {order}.", run.agent)])


def name_for(requests: Sequence[Run]) -> str:
    """A short name in the way people name workflows, of the first words that say something."""
    name = ""
    for word in telling(" ".join(run.request for run in requests))[:4]:
        longer = f"{name}-{word}" if name else word[:_NAME]
        if len(longer) <= _NAME:
            name = longer
    return name or "workflow"


def telling(text: str) -> list[str]:
    """The words of a text that say something, each once, in their order."""
    words = _WORD.findall(text.lower())
    return list(dict.fromkeys(word for word in words if word not in _FILLER))
