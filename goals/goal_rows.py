"""A goal as bytes and back.

What is as it is from the beginning is not written, so that a field that newer code adds stops older
code only where it is used: two versions may work side by side during an upgrade. The default of a
field is therefore part of the format.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

import orjson

from database.errors import MigrationError
from database.goals import Budget, Estimate, Goal, Objective, Spent, Task

Made = TypeVar("Made", Goal, Task, Objective, Spent, Estimate, Budget)

_NEWER = (
    "A goal was written by a newer version of this program (it has {names}). Update the program "
    "here; nothing was changed."
)
_TASK_PARTS = {"estimate": Estimate, "reserved": Spent, "least": Spent, "spent": Spent}
_GOAL_PARTS = {"budget": Budget, "estimate": Estimate, "planning": Spent}


_TRY_AGAIN = "try again"
"""Stands in what goals asked that were not about their budgets, when nothing else said so."""


def written(goal: Goal) -> bytes:
    """JSON."""
    told = _told(goal)
    if goal.asks:
        told["asks_for_more"] = goal.asks_for_more
    return orjson.dumps(told, default=sorted)


def read(body: bytes, revision: int) -> Goal:
    """The goal again, as of this move. Raises MigrationError for one that newer code wrote."""
    found = orjson.loads(body)
    found["objectives"] = tuple(_made(Objective, one) for one in found.get("objectives", ()))
    found["tasks"] = tuple(_task(one) for one in found.get("tasks", ()))
    for name in ("reader_channels", "lost_channels"):
        found[name] = frozenset(found.get(name, ()))
    for name in ("notes", "acts"):
        found[name] = tuple(found.get(name, ()))
    if "asks_for_more" not in found:
        asks = found.get("asks")
        found["asks_for_more"] = bool(asks) and _TRY_AGAIN not in asks
    found["revision"] = revision
    return _made(Goal, _with_parts(found, _GOAL_PARTS))


def _told(record: Any) -> dict[str, Any]:
    """A record's fields, without those at their default."""
    told = {}
    for field in fields(record):
        value = getattr(record, field.name)
        usual = field.default if field.default_factory is MISSING else field.default_factory()
        if value != usual:
            told[field.name] = _plain(value)
    return told


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return _told(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


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
