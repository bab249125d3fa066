"""Whether goals end, and nothing is done or said twice, whatever is killed when.

`python -m benchmarks.goals_crash [--quick] [--sqlite] [--json]`

The whole assistant and three workers beside it, each a process of its own on one Postgres (or, with
`--sqlite`, on one home's files), the local workspace as Slack, and a counting server as the world.
People ask for fifty goals, each of nine steps that change something and an answer, while one of the
four processes after the other, picked at random, is killed (-9) and started again, a hundred times.
Plan, model and tools are scripted (see `goals_process`); everything between them is what `serve`
and `worker` run.

Eight of nine steps count something at a server that knows the key it is given: such a call may be
repeated and counts once. The ninth sends something that may not be sent twice and cannot be looked
up: where its worker died in the middle, the assistant asks in the thread whether it was done, and
the person, here this driver, looks and says so.

- ended: goals that are over at the end, and how many of them well (`done`).
- double_effects, missing_effects: things sent or counted more than once, or not at all.
- repeated_calls: calls that the counting server recognised as the same again.
- double_messages: messages of the assistant that a thread has beyond one plan, one answer, and one
  for each question; missing_messages: plans or answers that are not there.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks.goals_process import NOT_EMBEDDED, STEPS, Nursery, Order
from benchmarks.message_overhead import LIFTED, unpaced_workspace
from database.goals import Goal
from database.store import Store
from goals.ledger import Ledger
from orchestrator.policy import Policy
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.config import TEAM_ID
from tests.postgres import Postgres

PEOPLE = ("U0ADA", "U0GRACE", "U0ALAN")
WORKERS = 3
MODEL_SECONDS = 0.5
ASKED_WHETHER_DONE = "Was it? Yes, or no"
PATIENCE_S = 600.0

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """See above; `seconds` from the first request to the last goal's end."""

    goals: int
    ended: int
    done: int
    tasks: int
    kills: int
    double_effects: int
    missing_effects: int
    repeated_calls: int
    double_messages: int
    missing_messages: int
    questions: int
    seconds: float
    engine: str


@dataclass(slots=True)
class World:
    """What tools change, served on loopback; each change takes a moment on both sides of it."""

    chance: random.Random
    counted: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    url: str = ""

    async def change(self, request: Request) -> PlainTextResponse:
        """Count or send an item."""
        verb, item = request.path_params["verb"], request.path_params["item"]
        await asyncio.sleep(self.chance.uniform(0.0, 0.2))
        (self.counted if verb == "count" else self.sent)[item] += 1
        await asyncio.sleep(self.chance.uniform(0.0, 0.2))
        return PlainTextResponse("done")

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator["World"]:
        """Reachable while the block runs."""
        app = Starlette(routes=[Route("/{verb}/{item}", self.change, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 (uvicorn tells by this flag only)
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        yield self
        server.should_exit = True
        await serving


class People:
    """Who ask for goals and answer questions truly."""

    def __init__(self, client: httpx.AsyncClient, world: World) -> None:
        self._client, self._world = client, world
        self.threads: dict[str, tuple[str, str]] = {}
        self._answered: set[str] = set()

    @property
    def questions(self) -> int:
        """How many were asked."""
        return len(self._answered)

    async def ask(self, number: int) -> None:
        """Ask for a goal in the person's direct message."""
        person = PEOPLE[number % len(PEOPLE)]
        name = f"g{number}"
        body = {"channel": "@assistant", "user": person, "text": f"plan: {name} all of it"}
        reply = await self._client.post("/_control/message", json=body)
        reply.raise_for_status()
        self.threads[name] = (person, reply.json()["message"]["ts"])

    async def ours(self, name: str) -> list[Json]:
        """What the assistant has said in a goal's thread."""
        person, ts = self.threads[name]
        url = f"/_control/messages/D{person[1:]}"
        found = (await self._client.get(url, params={"thread_ts": ts})).json()["messages"]
        return [one for one in found if one.get("bot_id")]

    async def answer(self) -> None:
        """Look through all threads for questions that nobody has answered."""
        for name, (person, thread) in list(self.threads.items()):
            for message in await self.ours(name):
                if ASKED_WHETHER_DONE not in json.dumps(message) or message["ts"] in self._answered:
                    continue
                if _has(message, "plan"):
                    continue
                self._answered.add(message["ts"])
                said = "yes" if self._world.sent[f"{name}-s0"] else "no"
                body = {"channel": f"D{person[1:]}", "user": person, "text": said,
                        "thread_ts": thread}  # fmt: skip
                (await self._client.post("/_control/message", json=body)).raise_for_status()


def _has(message: Json, kind: str) -> bool:
    return any(block.get("type") == kind for block in message.get("blocks") or ())


async def keep_killing(
    nursery: Nursery, orders: list[Order], chance: random.Random, kills: int, people: People,
    goals: int,
) -> None:  # fmt: skip
    """Start the processes, then kill and start them again while people ask."""
    pids = [await nursery.start(order) for order in orders]
    await asyncio.sleep(3.0)
    asked = 0
    for kill in range(kills):
        while asked < goals and asked <= kill * goals // max(1, kills * 8 // 10):
            await people.ask(asked)
            asked += 1
        await asyncio.sleep(chance.uniform(0.5, 2.5))
        which = chance.randrange(len(orders))
        await nursery.kill(pids[which])
        pids[which] = await nursery.start(orders[which])
        await people.answer()
        if kill % 10 == 9:
            print(f"{kill + 1} kills, {asked} goals asked for", file=sys.stderr)
    while asked < goals:
        await people.ask(asked)
        asked += 1


async def all_ended(ledger: Ledger, people: People, goals: int) -> list[Goal]:
    """The goals once all have ended, or when nobody would wait longer."""
    until = time.monotonic() + PATIENCE_S
    while True:
        await people.answer()
        found = list(await ledger.of(TEAM_ID).goals(limit=goals + 1))
        if (len(found) == goals and all(one.ended for one in found)) or time.monotonic() > until:
            return found
        await asyncio.sleep(0.5)


async def messages_of(people: People) -> tuple[int, int]:
    """Messages that are there twice, and plans or answers that are missing."""
    double = missing = 0
    for name in people.threads:
        ours = await people.ours(name)
        plans = sum(_has(one, "plan") for one in ours)
        answers = sum(_has(one, "context_actions") for one in ours)
        told = [one.get("text", "") for one in ours if not _has(one, "plan")]
        double += max(0, plans - 1) + len(told) - len(set(told))
        missing += (plans == 0) + (answers == 0)
    return double, missing


async def measure(home: Path, engine: str | None, kills: int, goals: int, seed: int) -> Report:
    """The whole of it."""
    chance = random.Random(seed)
    async with (
        World(random.Random(seed)).served() as world,
        unpaced_workspace() as workspace,
        Nursery.opened() as nursery,
        httpx.AsyncClient(base_url=workspace.url, timeout=60) as client,
    ):
        await allow_everything(home)
        people = People(client, world)
        settings = settings_of(workspace, home, engine)
        roles = ("assistant", *["worker"] * WORKERS)
        orders = [
            Order(role, settings, world.url, MODEL_SECONDS, str(home / f"{role}{n}.log"))
            for n, role in enumerate(roles)
        ]
        started = time.perf_counter()
        await keep_killing(nursery, orders, chance, kills, people, goals)
        ledger = Ledger.open(home, engine)
        found = await all_ended(ledger, people, goals)
        seconds = time.perf_counter() - started
        await asyncio.sleep(10.0)  # whatever comes twice may come late
        double, missing = await messages_of(people)
        await ledger.close()
    ended = [one for one in found if one.ended]
    items = {f"g{number}-s{step}" for number in range(goals) for step in range(STEPS)}
    there = {item for item in items if world.sent[item] or world.counted[item]}
    return Report(
        goals=goals,
        ended=len(ended),
        done=sum(one.state == "done" for one in ended),
        tasks=goals * (STEPS + 1),
        kills=kills,
        double_effects=sum(max(0, times - 1) for times in world.sent.values()),
        missing_effects=len(items - there),
        repeated_calls=sum(times - 1 for times in world.counted.values()),
        double_messages=double,
        missing_messages=missing,
        questions=people.questions,
        seconds=seconds,
        engine="postgres" if engine else "sqlite",
    )


async def allow_everything(home: Path) -> None:
    """As approvers would: plans start at once, and three people may ask as fast as they like."""
    store = Store.open(home, TEAM_ID)
    policy = Policy(store.policy)
    await policy.set("goal_start", "always", "U0ADA")
    for name in LIFTED:
        await policy.set(name, "none", "U0ADA")
    await store.close()


def settings_of(workspace: LocalWorkspace, home: Path, engine: str | None) -> dict[str, str]:
    """What every process is told."""
    found = {
        "slack_api_url": workspace.api_url,
        "slack_bot_token": workspace.bot_token,
        "slack_app_token": workspace.app_token,
        "virtuous6_home": str(home),
        "virtuous6_learning": "off",
        **NOT_EMBEDDED,
    }
    return found | ({"virtuous6_engine_url": engine} if engine else {})


def show(report: Report) -> None:
    """One table."""
    table = Table("figure", "value", title="goals while processes are killed")
    for name, value in asdict(report).items():
        table.add_row(name, f"{value:.0f}" if isinstance(value, float) else str(value))
    Console().print(table)


async def main() -> None:
    """Parse the options, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goals_crash")
    parser.add_argument("--quick", action="store_true", help="five goals and eight kills")
    parser.add_argument("--sqlite", action="store_true", help="one home's files, no Postgres")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    kills, goals = (8, 5) if options.quick else (100, 50)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home"
        home.mkdir()
        engine = None if options.sqlite else stack.enter_context(Postgres()).database()
        report = await measure(home, engine, kills, goals, options.seed)
    if options.json:
        print(json.dumps(asdict(report)))
    else:
        show(report)


if __name__ == "__main__":
    asyncio.run(main())
