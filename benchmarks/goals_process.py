"""Processes with the whole assistant, or a worker, that `benchmarks.goals_crash` starts and kills.

`python -m benchmarks.goals_process` imports everything once, then reads one order a line (JSON) and
forks a process for it, whose id it says; `{"wait": ID}` is answered when that one has ended.

What is scripted is the plan (nine steps that each change something, and the answer), the model, and
the two tools; all between them is what `serve` and `worker` run. `count` may be called again, as
its server knows the key that it is given; `send` may not.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel

import orchestrator.goals
from agents.definition import AgentDefinition
from agents.ports import ToolContext
from agents.tools.base import Tool, ToolFailed, checked, schema_of
from agents.turns import (
    ModelEvent,
    ModelFinished,
    TextDelta,
    ToolCall,
    ToolCallsRequested,
    ToolSpec,
    Turn,
)
from bootstrap import house, workshop
from database.goals import ANSWER, Goal, Task
from goals.decomposition import Alternative, Decomposition
from orchestrator.settings import load_settings
from tests.orchestrator.fakes import ScriptedModels, WordEmbedder

STEPS = 9
"""Of each goal, beside its answer."""
SENDS = 1
"""So many of them change something that nobody can look up and that may not be done twice."""

_ITEM = re.compile(r"Your step: (count|send) (\S+)")
_HELPER = {
    "name": "helper",
    "specialty": "counting and sending",
    "description": "Counts and sends things.",
    "examples": ["count something"],
    "system_prompt": "You count and send.",
    "tools": ["count", "send"],
}
_GENERALIST = {**_HELPER, "name": "generalist", "tools": []}


@dataclass(frozen=True, slots=True)
class Order:
    """A process: `role` is assistant or worker, `settings` as in the environment."""

    role: str
    settings: Mapping[str, str]
    world: str
    model_seconds: float
    log: str


class Plan(Decomposition):
    """The same plan for every request, whose first word after "plan:" names the goal."""

    async def plan(self, goal: Goal) -> Goal:
        """Nine steps and the answer."""
        name = goal.request.split()[0]
        verbs = ["send" if n < SENDS else "count" for n in range(STEPS)]
        made = [
            Task(f"s{n}", n + 1, f"{verb} {name}-s{n}", f"{verb} {name}-s{n}", "helper")
            for n, verb in enumerate(verbs)
        ]
        needs = tuple(task.key for task in made)
        last = Task(ANSWER, STEPS + 1, "answer", f"answer {name}", "generalist", needs=needs)
        return replace(goal, title=f"all of {name}", tasks=(*made, last))

    async def alternative(self, goal: Goal, key: str) -> Alternative:
        """None: a step that fails shows in the figures."""
        return Alternative(())


class Models(ScriptedModels):
    """Calls the tool that its step names, then says so; takes its time over each call."""

    def __init__(self, seconds: float) -> None:
        super().__init__(_said)
        self._seconds = seconds

    async def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncIterator[ModelEvent]:
        """One call."""
        await asyncio.sleep(self._seconds)
        said = _said(turns, model)
        yield TextDelta(said) if isinstance(said, str) else said
        yield ModelFinished("scripted", 100, 20, 0.0001, self._seconds * 1000)


def _said(turns: Sequence[Turn], model: str) -> str | ToolCallsRequested:
    asked = next(turn.text for turn in reversed(turns) if turn.role == "user")
    step = _ITEM.search(asked)
    if step is None:
        return "All of it was done."
    verb, item = step.groups()
    if turns[-1].role == "tool":
        return f"The {verb} of {item}: {turns[-1].text}"
    return ToolCallsRequested((ToolCall(f"call {item}", verb, {"item": item}),))


class _Item(BaseModel):
    item: str


def tools(world: str) -> Mapping[str, Tool]:
    """What changes something in the world, at this address."""
    client = httpx.AsyncClient(base_url=world, timeout=30)

    def doing(verb: str) -> Callable[[_Item, ToolContext], Awaitable[str]]:
        async def do(given: _Item, _: ToolContext) -> str:
            try:
                reply = await client.post(f"/{verb}/{given.item}")
            except httpx.HTTPError as error:
                raise ToolFailed(f"The world is away: {error}") from error
            return reply.text

        return do

    return {
        verb: Tool(
            name=verb, description=f"To {verb} an item.", parameters=schema_of(_Item),
            effect="write", title=verb, call=checked(_Item, doing(verb)), foreign=False,
            repeatable=verb == "count",
        )
        for verb in ("count", "send")
    }  # fmt: skip


async def live(order: Order) -> None:
    """The process, until it is killed."""
    vars(orchestrator.goals)["Decomposition"] = Plan
    parts: dict[str, Any] = {
        "models": Models(order.model_seconds),
        "embedder": WordEmbedder(),
        "tools": tools(order.world),
        "shipped": [AgentDefinition.model_validate(one) for one in (_HELPER, _GENERALIST)],
    }
    settings = load_settings(**order.settings)
    opened = house if order.role == "assistant" else workshop
    async with opened(settings, **parts):
        await asyncio.Event().wait()


def _forked(order: Order) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        log = os.open(order.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(0)
        asyncio.run(live(order))
    finally:
        os._exit(1)


def main() -> None:
    """Orders in, process ids out."""
    print("ready", flush=True)
    for line in sys.stdin:
        said = json.loads(line)
        if "wait" in said:
            _, answer = os.waitpid(said["wait"], 0)
        else:
            answer = _forked(Order(**said))
        print(answer, flush=True)


ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    main()
