"""Processes with the whole assistant, or a worker, that benchmarks start and kill.

`python -m benchmarks.goals_process` imports everything once, then reads one order a line (JSON) and
forks a process for it, whose id it says; `{"wait": ID}` is answered when that one has ended.

What is scripted is the plan (nine steps that each change something, and the answer), the model, and
the two tools; all between them is what `serve` and `worker` run. `count` may be called again, as
its server knows the key that it is given; `send` may not.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel

import bootstrap
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
from database.goals import ANSWER, Goal, Task
from goals.dbos_calls import POLL_S
from goals.decomposition import Alternative, Decomposition
from orchestrator.goals import SLOTS
from orchestrator.settings import load_settings
from tests.orchestrator.fakes import ScriptedModels, WordEmbedder

ROOT = Path(__file__).resolve().parent.parent
STEPS = 9
"""Of each goal, beside its answer."""
SENDS = 1
"""So many of them change something that nobody can look up and that may not be done twice."""

NOT_EMBEDDED = {"openai_api_key": "scripted", "openai_base_url": "http://127.0.0.1:9/v1"}
"""Nobody calls it: the scripted model answers. The embedded one would have two tasks at once."""

MANY = 1_024
"""Calls that the scripted model takes at once, of all processes."""

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
    """A process: `role` is assistant, worker or dbos; `settings` as in the environment."""

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


RAW = "raw_attempt"
"""Name of the workflow of DBOS alone, and of its queue."""


async def _while_wanted() -> None:
    """Until this process is killed, or whoever started it has ended."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 (nothing tells of it)
        await asyncio.sleep(1.0)
    os._exit(0)


async def raw(order: Order) -> None:
    """A worker of DBOS alone: each workflow is one model call, kept as a step."""
    from dbos import DBOS  # noqa: PLC0415 (the others' import of it is lazy, too)

    models = Models(order.model_seconds)

    @DBOS.step()
    async def call(text: str) -> str:
        turns = [Turn("user", text)]
        events = [event async for event in models.stream(turns)]
        return "".join(event.text for event in events if isinstance(event, TextDelta))

    @DBOS.workflow(name=RAW)
    async def attempt(text: str) -> str:
        return await call(text)

    DBOS(
        config={
            "name": "virtuous6",
            "system_database_url": order.settings["virtuous6_engine_url"],
            "application_version": "raw-1",
            "executor_id": str(os.getpid()),
            "sys_db_pool_size": 5,
            "use_listen_notify": False,
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    await DBOS.register_queue_async(RAW, worker_concurrency=SLOTS, polling_interval_sec=POLL_S)
    await _while_wanted()


async def live(order: Order) -> None:
    """The process, until it is killed."""
    if order.role == "dbos":
        await raw(order)
    vars(orchestrator.goals)["Decomposition"] = Plan
    vars(bootstrap)["slots_of"] = lambda _: MANY
    parts: dict[str, Any] = {
        "models": Models(order.model_seconds),
        "embedder": WordEmbedder(),
        "tools": tools(order.world),
        "shipped": [AgentDefinition.model_validate(one) for one in (_HELPER, _GENERALIST)],
    }
    settings = load_settings(**order.settings)
    opened = bootstrap.house if order.role == "assistant" else bootstrap.workshop
    async with opened(settings, **parts):
        await _while_wanted()


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


class Nursery:
    """The process that forks those to be killed."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._asking = asyncio.Lock()
        self._alive: set[int] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls) -> AsyncIterator["Nursery"]:
        """With everything imported."""
        command = (sys.executable, "-m", "benchmarks.goals_process")
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        nursery = cls(process)
        try:
            yield nursery
        finally:
            for pid in nursery._alive:
                os.kill(pid, signal.SIGKILL)
            process.kill()
            await process.wait()

    async def start(self, order: Order) -> int:
        """A new process."""
        pid = await self._asked(asdict(order))
        self._alive.add(pid)
        return pid

    async def kill(self, pid: int) -> None:
        """End one, whatever it does."""
        self._alive.discard(pid)
        os.kill(pid, signal.SIGKILL)
        await self._asked({"wait": pid})

    async def _asked(self, order: Mapping[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._asking:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return int(await self._process.stdout.readline())


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


if __name__ == "__main__":
    main()
