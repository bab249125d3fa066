"""What a cycle of each learner costs, and that it does not grow with what was there before.

`python -m benchmarks.learning_cost [--quick] [--json] [--only cycles|replies]`

Two records, one with ten thousand runs and one with a million, get the same 10,000 new runs, each
with three steps, and a thousand pieces of feedback. A process of its own then runs one cycle of
every learner, without a model: what a learner would ask a model is refused, as where there is none.

- seconds of each cycle (reading the window, learning, saving), and the process's peak memory;
- how long everything else in the process waits meanwhile (`stall`): a task wakes every five
  milliseconds, and how much later it woke is what a reply would have waited.

What learning adds to replies is measured on the whole assistant: see `learning_replies`.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from agents.definition import shipped_definitions
from agents.no_model import NoModel
from agents.similarity import Similarity
from benchmarks import learning_replies
from benchmarks.learning_runs import NEW, TOOLS, fill, new_facts
from database.coordination import Coordination
from database.engine import Engine
from database.learning import Decision, LearnerState
from database.store import Store
from orchestrator.agent_pool import register_shipped
from orchestrator.budgets import LearningBudget
from orchestrator.event_bus import EventBus
from orchestrator.improving import learners, no_bench, pipeline
from orchestrator.policy import Policy
from orchestrator.settling import settle

ROOT = Path(__file__).resolve().parent.parent
WORKSPACE = "T0BENCH"
TICK_S = 0.005


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
        known, no_bench(), tools=TOOLS,
    )  # fmt: skip
    await register_shipped(store, shipped_definitions())
    Similarity.load()  # as in the assistant, which has it for routing
    settle()
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
        fill(Path(folder), WORKSPACE, history)
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
    parser.add_argument("--quick", action="store_true", help="A tenth of the history, few replies.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=("cycles", "replies"), help="One part of it.")
    parser.add_argument("--cycles", nargs=2, metavar=("HOME", "RUNS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cycles:
        home, history = options.cycles
        print(json.dumps(asdict(asyncio.run(cycles(Path(home), int(history))))))
        return
    found: dict[str, Any] = {}
    if options.only != "replies":
        small, large = measured(10_000), measured(100_000 if options.quick else 1_000_000)
        found |= figures(small, large)
        if not options.json:
            show(small, large)
    if options.only != "cycles":
        load = learning_replies.QUICK if options.quick else learning_replies.FULL
        replies = asyncio.run(learning_replies.measured(load))
        found |= {"replies": replies} | {name: replies[name] for name in learning_replies.TOP}
        if not options.json:
            learning_replies.show(replies)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
