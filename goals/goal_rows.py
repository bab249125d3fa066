"""A goal as bytes and back."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import orjson

from database.errors import MigrationError
from database.goals import Budget, Estimate, Goal, Objective, Spent, Task

Made = TypeVar("Made", Goal, Task, Objective, Spent, Estimate, Budget)

_NEWER = (
    "A goal was written by a newer version of this program (it has {names}). Update the program "
    "here; nothing was changed."
)
_TASK_PARTS = {"estimate": Estimate, "reserved": Spent, "spent": Spent}
_GOAL_PARTS = {"budget": Budget, "estimate": Estimate, "planning": Spent}


def written(goal: Goal) -> bytes:
    """JSON."""
    return orjson.dumps(goal, default=sorted)


def read(body: bytes, revision: int) -> Goal:
    """The goal again, as of this move. Raises MigrationError for one that newer code wrote."""
    found = orjson.loads(body)
    found["objectives"] = tuple(_made(Objective, one) for one in found.get("objectives", ()))
    found["tasks"] = tuple(_task(one) for one in found.get("tasks", ()))
    for name in ("reader_channels", "lost_channels"):
        found[name] = frozenset(found.get(name, ()))
    found["notes"] = tuple(found.get("notes", ()))
    found["revision"] = revision
    return _made(Goal, _with_parts(found, _GOAL_PARTS))


def _task(found: dict[str, Any]) -> Task:
    for name in ("needs", "answers"):
        found[name] = tuple(found.get(name, ()))
    return _made(Task, _with_parts(found, _TASK_PARTS))


def _with_parts(found: dict[str, Any], parts: Mapping[str, type[Any]]) -> dict[str, Any]:
    made = {name: _made(kind, found[name]) for name, kind in parts.items() if name in found}
    return {**found, **made}


def _made(kind: type[Made], values: Mapping[str, Any]) -> Made:
    unknown = values.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise MigrationError(_NEWER.format(names=", ".join(sorted(unknown))))
    return kind(**values)
