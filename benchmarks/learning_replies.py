"""What learning adds to replies: a part of `python -m benchmarks.learning_cost`.

Three processes on loopback, as in `message_overhead`: this driver with the local workspace (pacing
off), a scripted model server, and the assistant with a large history and 10,000 new runs (see
`learning_assistant`). Three people ask at a steady pace, whether or not there was an answer to what
they asked before; half of their questions are answered by the model at once, half after 200 ms.
Blocks of three arms alternate, forth and back, so that what else the machine does is in all of
them: learning off; on and up to date; on, with one cycle after the other of all learners over the
new runs. Learners wait for lulls, of which there are few then: how much they looked at is told.
Counted is the time from a message to its finished answer.

Nobody's learners have that much to do all day. `normal_day` weighs the last two arms as they would
lie in a day of 10,000 requests: by what a cycle over them takes, and by as many looks that find
nothing as there could be.
"""

import asyncio
import json
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from agents.no_model import NoModel
from benchmarks.learning_runs import DAY, NEW, fill
from benchmarks.message_overhead import (
    ANSWER,
    ROOT,
    Reader,
    ask,
    environment_of,
    unpaced_workspace,
    watching,
)
from orchestrator.improving import learners
from orchestrator.settling import settle
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.config import TEAM_ID
from tests.model_server.server import ScriptedModel, answer

Arm = Literal["off", "on", "cycles"]
ORDER: tuple[Arm, ...] = ("off", "on", "cycles", "cycles", "on", "off")
PEOPLE = ("U0ADA", "U0GRACE", "U0ALAN")
SLOW_MS = 200
ABOUT = {0: "a write-ahead log", SLOW_MS: "a checkpoint"}
"""What is asked about, by the milliseconds that the model takes over it."""
PIECE_S = 5.0
"""Replies that were asked for so close together are drawn together: what disturbs one disturbs the
next one."""
DRAWS = 2_000
TOP = (
    "reply_p99_ms_off", "reply_p99_ms_on", "reply_p99_ms_during_cycle", "added_p99_ms",
    "added_p99_low", "added_p99_high", "reply_p99_ms_normal_day",
)  # fmt: skip
"""The figures that matter most, with a model that takes its time."""
_WARM_UP_S = 2.0
"""Agents are taken over anew when learning is switched; nobody does that all day."""
_LOOKS_BY_CLOCK = 24
"""Times a day that the clock starts a learner, at most."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked: blocks of all arms forth and back, seconds of each, requests a second."""

    rounds: int
    block_s: float
    per_second: float
    history: int


FULL, QUICK = Load(5, 21.0, 10.0, 1_000_000), Load(1, 4.0, 10.0, 100_000)


class Reply(NamedTuple):
    """One answer: in which arm and piece of time, what the model took, and what all of it took."""

    arm: Arm
    piece: int
    model_ms: int
    took_ms: float


class Program:
    """The assistant in a process of its own, whose learning is switched by lines."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def said(self) -> dict[str, float]:
        """Its next line. Raises RuntimeError where it has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the assistant ended early")
        return dict(json.loads(line))

    async def turn(self, arm: Arm) -> dict[str, float]:
        """Begin an arm; what learners did in the one before."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{arm}\n".encode())
        return await self.said()


@asynccontextmanager
async def _program(
    workspace: LocalWorkspace, model_url: str, history: int
) -> AsyncIterator[Program]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        fill(home, TEAM_ID, history)
        with (home / "app.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks.learning_assistant", cwd=ROOT, stdin=PIPE,
                stdout=PIPE, stderr=log, env=environment_of(workspace, model_url, home),
            )  # fmt: skip
            try:
                yield Program(process)
            except BaseException:
                sys.stderr.write((home / "app.log").read_text(errors="replace")[-3000:])
                raise
            finally:
                if process.returncode is None:
                    process.terminate()
                await process.wait()


async def measured(load: Load) -> dict[str, Any]:
    """All arms; the figures as JSON-able data."""
    fixtures = [
        answer(ANSWER, when={"userMessage": ABOUT[SLOW_MS]}, streamingProfile={"ttft": SLOW_MS}),
        answer(ANSWER),
    ]
    replies: list[Reply] = []
    worked: list[dict[str, float]] = []
    settle()
    async with AsyncExitStack() as stack:
        workspace = await stack.enter_async_context(unpaced_workspace())
        model = await stack.enter_async_context(ScriptedModel(fixtures, chunk_size=4))
        program = await stack.enter_async_context(_program(workspace, model.base_url, load.history))
        limits = httpx.Limits(max_connections=50)
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=workspace.url, limits=limits, timeout=60)
        )
        readers = [
            await stack.enter_async_context(watching(Reader(workspace, who))) for who in PEOPLE
        ]
        cycles = await program.said()
        warm_up = replace(load, block_s=_WARM_UP_S)
        for number, arm in enumerate(ORDER * load.rounds):
            worked.append(await program.turn(arm))
            await _asked(client, readers, arm, warm_up)
            found = await _asked(client, readers, arm, load)
            replies += [one._replace(piece=one.piece + 1_000 * number) for one in found]
            sys.stderr.write(f"{arm}: p99 {_p99([one.took_ms for one in found]):.0f} ms\n")
        worked.append(await program.turn("off"))
    return figures(replies, cycles, worked, load)


async def _asked(
    client: httpx.AsyncClient, readers: Sequence[Reader], arm: Arm, load: Load
) -> list[Reply]:
    """A block: questions at a steady pace, until all are answered."""
    began = time.perf_counter()

    async def one(number: int) -> Reply:
        due = number / load.per_second
        await asyncio.sleep(began + due - time.perf_counter())
        model_ms = (0, SLOW_MS)[number % 2]
        took = await ask(client, readers[number % len(readers)], number, ABOUT[model_ms])
        return Reply(arm, int(due / PIECE_S), model_ms, took)

    return await asyncio.gather(*(one(n) for n in range(int(load.block_s * load.per_second))))


# Figures


def figures(
    replies: Sequence[Reply],
    cycles: Mapping[str, float],
    worked: Iterable[Mapping[str, float]],
    load: Load,
) -> dict[str, Any]:
    """Everything that was measured; the keys at the top are of the model that takes its time."""
    share = share_of_day(cycles)
    by_model = {
        model_ms: compared([one for one in replies if one.model_ms == model_ms], share)
        for model_ms in ABOUT
    }
    return {
        **by_model[SLOW_MS],
        "instant_model": by_model[0],
        "model_ms": SLOW_MS,
        "per_second": load.per_second,
        "history": load.history,
        "new_runs": NEW,
        "cycle_s": cycles["cycle_s"],
        "idle_cycle_s": cycles["idle_cycle_s"],
        "cycle_share_of_day": round(share, 5),
        "runs_looked_at_beside_replies": int(sum(one["runs"] for one in worked)),
    }


def share_of_day(cycles: Mapping[str, float]) -> float:
    """The share of a day of 10,000 requests in which some learner is at work, at most."""
    known = learners(NoModel()).values()
    looks = [NEW / one.threshold if one.threshold else 0 for one in known]
    idle = cycles["idle_cycle_s"] * (sum(looks) / len(looks) + _LOOKS_BY_CLOCK)
    return (cycles["cycle_s"] + idle) / DAY


def compared(replies: Sequence[Reply], share: float) -> dict[str, Any]:
    """Percentiles of each arm, and what learning adds with its interval of 95%."""
    arms: dict[Arm, list[np.ndarray]] = {arm: _pieces(replies, arm) for arm in ORDER[:3]}
    found: dict[str, Any] = {"replies_each": min(sum(map(len, p)) for p in arms.values())}
    names = {"off": "off", "on": "on", "cycles": "during_cycle"}
    for arm, pieces in arms.items():
        for percent in (50, 95, 99):
            figure = float(np.percentile(np.concatenate(pieces), percent))
            found[f"reply_p{percent}_ms_{names[arm]}"] = round(figure, 2)
    drawn = _drawn(arms, share)
    now = _three(arms, share)
    for at, name in enumerate(("added", "added_during_cycle", "added_normal_day")):
        low, high = np.percentile(drawn[:, at], [2.5, 97.5])
        found[f"{name}_p99_ms"] = round(now[at], 2)
        found[f"{name}_p99_low"] = round(float(low), 2)
        found[f"{name}_p99_high"] = round(float(high), 2)
    found["reply_p99_ms_normal_day"] = round(found["reply_p99_ms_off"] + now[2], 2)
    return found


def _pieces(replies: Sequence[Reply], arm: Arm) -> list[np.ndarray]:
    found: dict[int, list[float]] = {}
    for one in replies:
        if one.arm == arm:
            found.setdefault(one.piece, []).append(one.took_ms)
    return [np.array(piece) for piece in found.values()]


def _three(arms: Mapping[Arm, Sequence[np.ndarray]], share: float) -> tuple[float, float, float]:
    """What the p99 has more than without learning: up to date, in a cycle, in a normal day."""
    off, on, cycles = (np.concatenate(arms[arm]) for arm in ORDER[:3])
    base = _p99(off)
    return _p99(on) - base, _p99(cycles) - base, mixed_p99(on, cycles, share) - base


def _drawn(arms: Mapping[Arm, Sequence[np.ndarray]], share: float) -> np.ndarray:
    chance = np.random.default_rng(1)

    def again(pieces: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [pieces[at] for at in chance.integers(len(pieces), size=len(pieces))]

    return np.array(
        [_three({arm: again(p) for arm, p in arms.items()}, share) for _ in range(DRAWS)]
    )


def mixed_p99(mostly: np.ndarray, sometimes: np.ndarray, share: float) -> float:
    """The p99 of replies of which `share` are like `sometimes`."""
    every = np.concatenate([mostly, sometimes])
    weights = np.concatenate([
        np.full(len(mostly), (1 - share) / len(mostly)),
        np.full(len(sometimes), share / len(sometimes)),
    ])  # fmt: skip
    order = np.argsort(every)
    reached = np.searchsorted(np.cumsum(weights[order]), 0.99)
    return float(every[order][min(int(reached), len(every) - 1)])


def _p99(times: Sequence[float] | np.ndarray) -> float:
    return float(np.percentile(times, 99))


def show(found: Mapping[str, Any]) -> None:
    """A table for people."""
    table = Table(title="What learning adds to a reply, ms", box=None)
    for head in ("model", "learning", "p50", "p95", "p99", "p99 more by", "95% between"):
        table.add_column(head, justify="right")
    arms = (("off", "off", ""), ("on", "up to date", "added"),
            ("during_cycle", "in a cycle", "added_during_cycle"))  # fmt: skip
    for model, by in ((f"{found['model_ms']} ms", found), ("0 ms", found["instant_model"])):
        for arm, words, added in arms:
            times = [f"{by[f'reply_p{p}_ms_{arm}']:.1f}" for p in (50, 95, 99)]
            more = [f"{by[f'{added}_p99_{e}']:.1f}" for e in ("ms", "low", "high") if added]
            table.add_row(model, words, *times, *more[:1], " and ".join(more[1:]))
    Console().print(table)
    Console().print(
        f"{found['replies_each']} replies each. Learners are at work in at most "
        f"{found['cycle_share_of_day']:.2%} of a day of {NEW:,} requests, so that its p99 is "
        f"{found['reply_p99_ms_normal_day']:.1f} ms ({found['added_normal_day_p99_ms']:+.1f})."
    )
