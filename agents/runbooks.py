"""The body of a runbook: requests to agents, replayable with new inputs."""

from collections.abc import Sequence
from typing import Any

from agents.generalising import generalised

_DESCRIPTION = 120


def runbook_body(steps: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Of (request, agent) pairs: what may differ next time becomes an input.

    `{"description", "steps": [{"request", "agent"}], "inputs": [{"name", "example"}]}`; a step's
    request names its inputs in braces, and an empty example has to be given.
    """
    templates, inputs = generalised([request for request, _ in steps])
    first = " ".join(templates[0].split())
    return {
        "description": first if len(first) <= _DESCRIPTION else first[: _DESCRIPTION - 1] + "…",
        "steps": [
            {"request": template, "agent": agent}
            for template, (_, agent) in zip(templates, steps, strict=True)
        ],
        "inputs": [{"name": i.name, "example": i.example} for i in inputs],
    }
