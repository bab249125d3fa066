"""What a cycle of each learner costs, and that it does not grow with what was there before.

`python -m benchmarks.learning_cost [--quick] [--json]`

Two records, one with ten thousand runs and one with a million, get the same 10,000 new runs, each
with three steps, and a thousand pieces of feedback. A process of its own then runs one cycle of
every learner, without a model: what a learner would ask a model is refused, as where there is none.

- seconds of each cycle (reading the window, learning, saving), and the process's peak memory;
- how long everything else in the process waits meanwhile (`stall`): a task wakes every five
  milliseconds, and how much later it woke is what a reply would have waited.
"""

import argparse
import asyncio
import contextlib
import json
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from agents.definition import shipped_definitions
from agents.no_model import NoModel
from database.coordination import Coordination
from database.engine import Engine
from database.learning import Decision, LearnerState
from database.records import Feedback, Outcome, Run, Step
from database.sqlite_backend import tidy_up
from database.sqlite_file import SqliteFile
from database.store import RECORD, Store
from orchestrator.agent_pool import register_shipped
from orchestrator.budgets import LearningBudget
from orchestrator.event_bus import EventBus
from orchestrator.improving import learners, no_bench, pipeline
from orchestrator.policy import Policy

ROOT = Path(__file__).resolve().parent.parent
WORKSPACE = "T0BENCH"
NEW, SAID = 10_000, 1_000
DAY = 86_400
TICK_S = 0.005
_EVERY_S = 7.776
"""A million runs in ninety days."""
_TOOLS = ("search_messages", "read_file", "calculator", "date_time")
_ASKED = ("summarise the thread about {}", "what did we decide on {}", "convert {} euros",
          "write a note on {}", "when is the review of {}")  # fmt: skip

_OLD = """
    INSERT INTO runs (workspace, run_id, kind, audience, agent, model, user_id, channel_id, request,
        reply, started_at, duration_ms, input_tokens, output_tokens, cost_usd, day)
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
    SELECT :workspace, 'old' || n, 'reply', 'public', 'agent' || (n % 8), 'fast', 'U' || (n % 40),
        'C' || (n % 12), 'what about ' || n, 'that ' || n, :now - n * :every, 300.0 + n % 4000,
        500 + n % 900, 50 + n % 300, 0.0001 * (n % 70), CAST((:now - n * :every) / 86400 AS INTEGER)
    FROM numbers"""


@dataclass(frozen=True, slots=True)
class Cost:
    """One process's cycles over the same new runs."""

    history: int
    seconds: dict[str, float]
    peak_mb: float
    grew_mb: float
    stall_p99_ms: float
    stall_max_ms: float
    runs_seen: int

    @property
    def total_s(self) -> float:
        """All cycles together."""
        return sum(self.seconds.values())


def fill(home: Path, history: int) -> None:
    """Runs of the last ninety days, made by the database itself."""
    SqliteFile(home / RECORD, "record").close()
    values = {"workspace": WORKSPACE, "last": history - 1, "now": time.time() - DAY,
              "every": _EVERY_S}  # fmt: skip
    with contextlib.closing(sqlite3.connect(home / RECORD, isolation_level=None)) as connection:
        connection.execute(_OLD, values)
        connection.row_factory = sqlite3.Row
        while tidy_up(connection):
            pass
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def new_facts() -> Iterator[Run | Feedback]:
    """What happened today: a few kinds of requests, their tools, failures and what people said."""
    chance = random.Random(1)
    for number in range(NEW):
        kind = chance.randrange(len(_ASKED))
        failed = chance.random() < 0.05
        tools = [_TOOLS[kind % 4], _TOOLS[(kind + 1) % 4]]
        steps = (
            Step(0, "model", "fast", None, True, None, 500.0, 700, 90, 0.0003),
            Step(1, "tool", tools[0], {"words": f"budget {number % 50}"}, True, None, 20.0),
            Step(2, "tool", tools[1], {"n": number}, not failed,
                 f"timed out after {number} ms" if failed else None, 30.0),
        )  # fmt: skip
        yield Run(
            f"new{number}", _ASKED[kind].format(number % 200), f"agent{kind}", model="fast",
            agent_version="v1", task_type=f"kind-{kind}", user_id=f"U{number % 40}",
            channel_id=f"C{number % 12}", started_at=time.time() - NEW + number,
            duration_ms=900.0, input_tokens=700, output_tokens=90, cost_usd=0.0003,
            reply="It says so. " * 20, steps=steps,
            outcome=Outcome(not failed, source="check") if number % 3 == 0 else Outcome(),
        )  # fmt: skip
    for number in range(SAID):
        value = chance.choice((1.0, 1.0, -1.0))
        yield Feedback(f"said{number}", f"new{number * 7}", "rating", value,
                       user_id=f"U{number % 40}", created_at=time.time())  # fmt: skip


class Stalls:
    """How late a task wakes that wants to wake every few milliseconds."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_S)
            self.late_ms.append((time.perf_counter() - began - TICK_S) * 1000)


async def cycles(home: Path, history: int) -> Cost:
    """Learners that have seen the history get what is new."""
    store = Store.open(home, WORKSPACE)
    engine = Engine.open(home, None)
    policy = Policy(store.policy)
    known = learners(NoModel())
    seen = await store.window(2**52, 2**52, limit=1)
    at = store._local.file.row("SELECT max(seq) AS seq FROM runs")
    states = tuple(LearnerState(name, {}, at["seq"] if at else 0, 0, revision=1) for name in known)
    assert not seen.runs
    await store.decide(Decision(learners=states))
    store.append_all(new_facts())
    loop = pipeline(
        store, Coordination(engine, WORKSPACE), policy, EventBus(), LearningBudget(policy, store),
        known, no_bench(), tools=_TOOLS,
    )  # fmt: skip
    await register_shipped(store, shipped_definitions())
    before, stalls = _peak_mb(), Stalls()
    watching = asyncio.create_task(stalls.watch())
    seconds, looked_at = {}, 0
    for name in known:
        began = time.perf_counter()
        report = await loop.cycles.cycle(name)
        seconds[name] = round(time.perf_counter() - began, 3)
        looked_at += report.runs
    watching.cancel()
    peak = _peak_mb()
    await store.close()
    await engine.close()
    return Cost(
        history, seconds, round(peak, 1), round(peak - before, 1),
        round(float(np.percentile(stalls.late_ms, 99)), 2), round(max(stalls.late_ms), 2),
        looked_at,
    )  # fmt: skip


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(history: int) -> Cost:
    """In a process of its own, whose memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), history)
        command = [sys.executable, "-m", "benchmarks.learning_cost", "--cycles", folder,
                   str(history)]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def figures(small: Cost, large: Cost) -> dict[str, Any]:
    """What is compared: everything again, as keys of one object."""
    return {
        "new_runs": NEW,
        "history_small": small.history,
        "history_large": large.history,
        "cycle_s_small": round(small.total_s, 3),
        "cycle_s_large": round(large.total_s, 3),
        "cycle_s_ratio": round(large.total_s / small.total_s, 3),
        "peak_mb_small": small.peak_mb,
        "peak_mb_large": large.peak_mb,
        "grew_mb_small": small.grew_mb,
        "grew_mb_large": large.grew_mb,
        "stall_p99_ms": large.stall_p99_ms,
        "stall_max_ms": large.stall_max_ms,
        "small": asdict(small),
        "large": asdict(large),
    }


def show(small: Cost, large: Cost) -> None:
    """A table for people."""
    table = Table(title=f"A cycle over {NEW:,} new runs", box=None)
    for head in ("learner", f"s, {small.history:,} before", f"s, {large.history:,} before"):
        table.add_column(head)
    for name in small.seconds:
        table.add_row(name, str(small.seconds[name]), str(large.seconds[name]))
    table.add_row("peak MB", str(small.peak_mb), str(large.peak_mb))
    table.add_row("stall p99 ms", str(small.stall_p99_ms), str(large.stall_p99_ms))
    table.add_row("stall max ms", str(small.stall_max_ms), str(large.stall_max_ms))
    Console().print(table)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.learning_cost")
    parser.add_argument("--quick", action="store_true", help="A tenth of the history.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cycles", nargs=2, metavar=("HOME", "RUNS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cycles:
        home, history = options.cycles
        print(json.dumps(asdict(asyncio.run(cycles(Path(home), int(history))))))
        return
    small, large = measured(10_000), measured(100_000 if options.quick else 1_000_000)
    if options.json:
        print(json.dumps(figures(small, large)))
    else:
        show(small, large)


if __name__ == "__main__":
    main()
