"""Runbooks drafted from what people do again and again."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.improvement.naming import content, doing
from agents.runbooks import runbook_body
from database.records import Run

_NAME, _NAMED = 40, 3
_BLANK = re.compile(r"\{[^}]*\}")


def replayed(requests: Sequence[Run]) -> dict[str, Any]:
    """A workflow of these requests, one after the other, with inputs for what differs each time."""
    return runbook_body([(run.request, run.agent) for run in requests])


def guided(run: Run, steps: Sequence[str]) -> dict[str, Any]:
    """A workflow of one request that names the tools in the order that has worked."""
    order = ", then ".join(steps)
    return runbook_body([(f"{run.request}\n\nWork in this order: {order}.", run.agent)])


def name_for(body: Mapping[str, Any]) -> str:
    """A short name in the way people name workflows: what its steps do, in their first words.

    What differs each time is left out.
    """
    first, *then = [_BLANK.sub(" ", step["request"]).partition("\n\n")[0] for step in body["steps"]]
    words = doing(first)[: 2 if then else _NAMED]
    words += [word for text in then for word in content(text) if word]
    name = ""
    for word in list(dict.fromkeys(words))[:_NAMED]:
        longer = f"{name}-{word}" if name else word[:_NAME]
        if len(longer) <= _NAME:
            name = longer
    return name or "workflow"
