"""Variants: an agent in another version for one task type, each a document of its own.

A variant's document is called AGENT--TASKTYPE or AGENT--TASKTYPE--LABEL; no agent's own name holds
two hyphens in a row. Its body is an agent's definition that keeps the agent's name, so that runs,
limits and figures stay the agent's; which variant answered is told by the version.
"""

import re
from dataclasses import dataclass

from database.errors import InputError

_BETWEEN = "--"
_PART = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Variant:
    """What a variant's name says."""

    agent: str
    task_type: str
    label: str = ""

    @property
    def name(self) -> str:
        """The name of its document."""
        return _BETWEEN.join(part for part in (self.agent, self.task_type, self.label) if part)


def variant_name(agent: str, task_type: str, label: str = "") -> str:
    """The name of the document. Raises InputError for parts that no name can hold."""
    for part in (agent, task_type, *([label] if label else [])):
        if not _PART.fullmatch(part):
            raise InputError(
                f"'{part}' cannot be part of a variant's name: use a-z, digits and single hyphens."
            )
    return Variant(agent, task_type, label).name


def variant_of(name: str) -> Variant | None:
    """What a document's name says, or None where it is an agent's own."""
    parts = name.split(_BETWEEN)
    if len(parts) not in (2, 3) or not all(_PART.fullmatch(part) for part in parts):
        return None
    return Variant(*parts)


def agent_of(name: str) -> str:
    """The agent that a document is of: itself, or the one that it is a variant of."""
    variant = variant_of(name)
    return variant.agent if variant else name
