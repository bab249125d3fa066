"""Planners that say what a test scripts, and a roster whose likeness is shared words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from database.errors import ModelError
from database.goals import Budget, Goal, Spent
from database.records import Reader
from goals.decomposition import Decomposition
from goals.ports import Runbook, Specialist
from tests.goals.plans import NOW

Asked = TypeVar("Asked", bound=BaseModel)

PLANNING = Spent(2.0, 500, 0.0)
TEAM = (
    Specialist("generalist", "everyday questions", runs=10, succeeded=8, seconds=8, tokens=900),
    Specialist("analyst", "calculating costs and percentages", runs=20, succeeded=19, seconds=4),
    Specialist("coder", "writing small functions in Python"),
)


@dataclass
class ScriptedPlanner:
    """Answers with what was scripted, one after the other, read as any model's answer is."""

    answers: list[Any]
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    schemas: list[Mapping[str, Any]] = field(default_factory=list)

    async def ask(
        self,
        instructions: str,
        request: str,
        schema: type[Asked],
        *,
        model: str = "strong",
        examples: Sequence[tuple[str, str]] = (),
    ) -> tuple[Asked, Spent]:
        self.asked.append((model, instructions, request))
        self.schemas.append(schema.model_json_schema())
        if not self.answers:
            raise ModelError("The model is away. Try again in a minute.")
        return schema.model_validate(self.answers.pop(0)), PLANNING


@dataclass
class Team:
    """Who there is; no saved workflow unless one is given."""

    members: Sequence[Specialist] = TEAM
    runbook: Runbook | None = None

    async def specialists(self, reader: Reader) -> Sequence[Specialist]:
        return self.members

    async def runbook_for(self, request: str, reader: Reader) -> Runbook | None:
        return self.runbook

    def likeness(self, one: str, others: Sequence[str]) -> Sequence[float]:
        words = set(re.findall(r"[a-z]{4,}", one.lower()))
        return [
            min(1.0, len(words & set(re.findall(r"[a-z]{4,}", other.lower()))) / 3)
            for other in others
        ]


def planning(*answers: Any, team: Team | None = None) -> tuple[Decomposition, ScriptedPlanner]:
    planner = ScriptedPlanner(list(answers))
    return Decomposition(planner, team or Team(), lambda: NOW), planner


def wish(request: str = "Sort out the office move.", **budget: Any) -> Goal:
    return Goal("g1", "U1", request, "r1", budget=Budget(**budget))


def drafted(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "goal": "The office has moved",
        "stages": ["Prepare", "Move"],
        "steps": list(steps),
    } | more


def said(title: str, *needs: int, **more: Any) -> dict[str, Any]:
    """A step as a model says it."""
    body = {"title": title, "task": f"{title}, all of it", "result": f"{title}: done"}
    return body | {"stage": 1, "needs": list(needs)} | more
