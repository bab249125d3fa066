"""What more workers bring, beside raw DBOS on the same machine, and what goals that wait cost.

`python -m benchmarks.workers [--quick] [--json]`

One Postgres; one, two, four and eight workers, each a process of its own with sixteen tasks at
once; a model that takes a second for each call. Ours are the workers of `virtuous6 worker`: each
task is queued, taken, reserved, journalled, done by an agent, recorded as a run and settled in its
goal. Raw DBOS has workflows of one step, which is the same model call, on one queue with the same
places and the same polling. Both find their queue full when they start; the rate is that of the
middle three fifths of the tasks, so that neither starting nor running dry counts. Rounds of the two
alternate.

- tasks_per_second and dbos_per_second for each number of workers; cpu and dbos_cpu: how much of the
  machine's CPU everything together used meanwhile, 0..1 (Postgres and this driver included).
- ratio_to_dbos: ours / DBOS with the most workers at which neither used more than 0.85 of the CPU;
  ratio_at says how many those are. Beyond that both share what is left, and the ratio says what a
  task costs, not what more workers bring.
- waiting: a worker's memory beside no goal and beside 1,000 goals that wait for people, and the
  CPU that it then uses while nothing happens.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil
from dbos import DBOS, DBOSClient
from rich.console import Console
from rich.table import Table

from benchmarks.goals_process import NOT_EMBEDDED, RAW, Nursery, Order
from database.goals import ANSWER, Budget, Goal, Task
from goals.dbos_calls import QUEUE, VERSION
from goals.execution import workflow_id
from goals.ledger import Ledger
from goals.sql import postgres_url
from slack_interface.local_workspace.config import TEAM_ID
from tests.postgres import Postgres

WORKERS = (1, 2, 4, 8)
PLACES = 16
STEPS = 8
"""Of each goal at once; a person's goals have four places in all, so there are many people."""
MODEL_SECONDS = 1.0
FULL = 0.85
WAITING = 1_000


@dataclass(frozen=True, slots=True)
class Round:
    """One number of workers."""

    workers: int
    tasks: int
    tasks_per_second: float
    cpu: float
    dbos_per_second: float
    dbos_cpu: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """Megabytes of a worker's own memory, and how much of one core it uses."""

    goals: int
    memory_mb_without: float
    memory_mb_with: float
    core_share: float


@dataclass(frozen=True, slots=True)
class Report:
    """See above."""

    rounds: Sequence[Round]
    ratio_to_dbos: float
    ratio_at: int
    waiting: Waiting


@dataclass(frozen=True, slots=True)
class Bench:
    """What all rounds share."""

    nursery: Nursery
    postgres: Postgres
    folder: Path

    async def started(self, role: str, count: int, home: Path, url: str) -> list[int]:
        """So many workers."""
        settings = {
            "slack_api_url": "http://127.0.0.1:9/api/", "slack_bot_token": "xoxb-1-nobody",
            "slack_app_token": "xapp-1-nobody", "virtuous6_home": str(home),
            "virtuous6_engine_url": url, "virtuous6_learning": "off", **NOT_EMBEDDED,
        }  # fmt: skip
        orders = [
            Order(role, settings, "http://127.0.0.1:9", MODEL_SECONDS, str(home / f"{role}{n}.log"))
            for n in range(count)
        ]
        return [await self.nursery.start(order) for order in orders]

    def home(self) -> Path:
        """A new one."""
        return Path(tempfile.mkdtemp(dir=self.folder))


def goal_of(number: int, steps: int) -> Goal:
    """A goal whose steps all are queued, of a person of its own."""
    made = [
        Task(key, 0, "step", f"think about {number}", "helper", state="queued", attempt=1)
        for key in (f"s{n}" for n in range(steps))
    ]
    made = [replace(task, number=n) for n, task in enumerate(made, start=1)]
    last = Task(ANSWER, steps + 1, "answer", "answer", "generalist",
                needs=tuple(task.key for task in made))  # fmt: skip
    now = time.time()
    return Goal(
        f"goal {number}", f"U{number:05d}", "think", f"run {number}", "thinking",
        state="running", tasks=(*made, last), created_at=now, started_at=now,
        budget=Budget(usd=1e6, tokens=10**9, seconds=1e9),
    )  # fmt: skip


async def fill_ours(home: Path, url: str, tasks: int) -> int:
    """Goals with so many steps in all, each of them queued; how many tasks that are."""
    DBOS.migrate(postgres_url(url))
    client = DBOSClient(system_database_url=postgres_url(url))
    ledger = Ledger.open(home, url)
    goals = ledger.of(TEAM_ID)
    for number in range(tasks // STEPS):
        goal = goal_of(number, STEPS)
        await goals.create(goal)
        for task in goal.tasks[:-1]:
            await client.enqueue_async(
                {
                    "workflow_name": "goal_attempt", "queue_name": QUEUE, "app_version": VERSION,
                    "workflow_id": workflow_id(goal.goal_id, task.key, 1),
                    "queue_partition_key": goals.owner(goal.user_id).person,
                    "application_name": "virtuous6",
                },
                TEAM_ID, goal.goal_id, task.key, 1,
            )  # fmt: skip
    await ledger.close()
    client.destroy()
    return tasks // STEPS * STEPS


async def fill_raw(home: Path, url: str, tasks: int) -> int:
    """So many workflows of one model call."""
    DBOS.migrate(postgres_url(url))
    client = DBOSClient(system_database_url=postgres_url(url))
    for number in range(tasks):
        options = {"workflow_name": RAW, "queue_name": RAW, "app_version": "raw-1",
                   "application_name": "virtuous6"}  # fmt: skip
        await client.enqueue_async(options, f"think about {number}")  # type: ignore[arg-type]
    client.destroy()
    return tasks


async def ends_of(home: Path, url: str) -> list[float]:
    """When the steps of goals ended."""
    ledger = Ledger.open(home, url)
    goals = await ledger.of(TEAM_ID).goals(limit=10_000)
    await ledger.close()
    return [task.ended_at for goal in goals for task in goal.tasks
            if task.ended_at is not None and task.key != ANSWER]  # fmt: skip


async def raw_ends_of(home: Path, url: str) -> list[float]:
    """When workflows ended."""
    client = DBOSClient(system_database_url=postgres_url(url))
    found = await client.list_workflows_async(
        status="SUCCESS", name=RAW, load_input=False, load_output=False
    )
    client.destroy()
    return [one.completed_at / 1000 for one in found if one.completed_at]


async def rate(bench: Bench, role: str, count: int, tasks: int) -> tuple[float, float]:
    """Tasks a second in the middle of it, and the machine's CPU that was used."""
    home, url = bench.home(), bench.postgres.database()
    ours = role == "worker"
    queued = await (fill_ours if ours else fill_raw)(home, url, tasks)
    pids = await bench.started(role, count, home, url)
    psutil.cpu_percent()
    cpu: list[tuple[float, float]] = []
    ends: list[float] = []
    patience = time.monotonic() + 600
    while len(ends) < queued and time.monotonic() < patience:
        await asyncio.sleep(1.0)
        cpu.append((time.time(), psutil.cpu_percent() / 100))
        ends = await (ends_of if ours else raw_ends_of)(home, url)
    for pid in pids:
        await bench.nursery.kill(pid)
    if len(ends) < queued:
        raise RuntimeError(f"Only {len(ends)} of {queued} tasks ended; see {home}.")
    ends.sort()
    first, last = ends[queued // 5], ends[queued * 4 // 5]
    used = [share for at, share in cpu if first <= at <= last] or [share for _, share in cpu]
    return (queued * 4 // 5 - queued // 5) / (last - first), sum(used) / len(used)


async def one_round(bench: Bench, count: int, each: int) -> Round:
    """Raw DBOS, then ours."""
    tasks = count * PLACES * each
    dbos_rate, dbos_cpu = await rate(bench, "dbos", count, tasks)
    ours, cpu = await rate(bench, "worker", count, tasks)
    found = Round(count, tasks, ours, cpu, dbos_rate, dbos_cpu, ours / dbos_rate)
    print(found, file=sys.stderr)
    return found


async def waiting(bench: Bench, goals: int) -> Waiting:
    """A worker beside no goals, then one beside so many that wait for people."""
    figures: list[tuple[float, float]] = []
    for count in (0, goals):
        home, url = bench.home(), bench.postgres.database()
        ledger = Ledger.open(home, url)
        for number in range(count):
            await ledger.of(TEAM_ID).create(_asking(goal_of(number, STEPS)))
        assert not await ledger.busy()
        [pid] = await bench.started("worker", 1, home, url)
        process = psutil.Process(pid)
        await asyncio.sleep(8.0)
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(10.0)
        share = (sum(process.cpu_times()[:2]) - before) / 10.0
        figures.append((process.memory_full_info().uss / 2**20, share))
        await bench.nursery.kill(pid)
        await ledger.close()
    (without, _), (beside, share) = figures
    return Waiting(goals, without, beside, share)


def _asking(goal: Goal) -> Goal:
    """The same, when each step has asked somebody something."""
    asked = [
        replace(task, state="waiting", attempt=1, question="Which of the two do you mean?")
        for task in goal.tasks[:-1]
    ]
    return replace(goal, state="waiting", tasks=(*asked, goal.tasks[-1]))


def compared(rounds: Iterable[Round]) -> tuple[float, int]:
    """The ratio with the most workers at which neither was out of CPU, else with the fewest."""
    calm: Callable[[Round], bool] = lambda one: max(one.cpu, one.dbos_cpu) <= FULL  # noqa: E731
    ordered = sorted(rounds, key=lambda one: one.workers)
    fitting = [one for one in ordered if calm(one)] or ordered[:1]
    return fitting[-1].ratio, fitting[-1].workers


def show(report: Report) -> None:
    """Two tables."""
    table = Table("workers", "tasks", "ours/s", "CPU", "DBOS/s", "CPU", "ratio",
                  title="tasks of a second each, 16 at once for each worker")  # fmt: skip
    for one in report.rounds:
        table.add_row(
            str(one.workers), str(one.tasks), f"{one.tasks_per_second:.1f}", f"{one.cpu:.2f}",
            f"{one.dbos_per_second:.1f}", f"{one.dbos_cpu:.2f}", f"{one.ratio:.2f}",
        )  # fmt: skip
    Console().print(table)
    found = report.waiting
    Console().print(
        f"{found.goals} goals that wait: {found.memory_mb_with - found.memory_mb_without:+.1f} MB "
        f"beside {found.memory_mb_without:.0f}, and {found.core_share:.1%} of a core."
    )


async def measure(counts: Sequence[int], each: int, goals: int) -> Report:
    """All rounds."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(Postgres())
        async with Nursery.opened() as nursery:
            bench = Bench(nursery, postgres, folder)
            rounds = [await one_round(bench, count, each) for count in counts]
            ratio, at = compared(rounds)
            return Report(rounds, ratio, at, await waiting(bench, goals))


async def main() -> None:
    """Parse the options, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers")
    parser.add_argument("--quick", action="store_true", help="one worker, 64 tasks, 100 goals")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        report = await measure(WORKERS[:1], 4, 100)
    else:
        report = await measure(WORKERS, 10, WAITING)
    if options.json:
        print(json.dumps(asdict(report)))
    else:
        show(report)


if __name__ == "__main__":
    asyncio.run(main())
