"""The assistant of `learning_replies`: the whole of `serve`, told by lines what learning may do.

`off` is the off switch as an approver sets it. `on` is learning as shipped, and it is up to date.
`cycles` is `on`, and all learners go over the same 10,000 new runs again and again. Each line is
answered with one line of JSON when it is so.
"""

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import asdict, dataclass, replace

import structlog

from agents.no_model import NoModel
from benchmarks.learning_runs import new_facts
from bootstrap import Assistant, assistant
from database.errors import StaleRevision
from database.learning import Decision
from database.store import Store
from orchestrator.improving import learners
from orchestrator.learning_cycle import CycleReport
from orchestrator.settings import load_settings
from orchestrator.settling import settle

LIFTED = ("person_at_once", "person_requests_per_minute", "person_requests_per_hour")
_WHO = "UBENCH"


@dataclass(slots=True)
class Worked:
    """How many runs learners were made to look at since it was last asked."""

    runs: int = 0


class Switch:
    """Makes of learning in a running assistant what it is told."""

    def __init__(self, house: Assistant) -> None:
        self._house = house
        self._store = house.store
        self._before = _ends(house.store)
        self._worked = Worked()
        self._cycling: asyncio.Task[None] | None = None

    async def prepare(self) -> dict[str, float]:
        """Add what is new; what a cycle over it takes, and one that finds nothing, in seconds."""
        for name in LIFTED:
            await self._house.policy.set(name, "unlimited", _WHO)
        # What was suggested would be tried beside the replies: that costs answers, as trials do.
        await self._house.policy.set("proposals_per_day", "0", _WHO)
        self._store.append_all(new_facts())
        names = list(self._house.learning.loop.cycles.learners)
        await self._see(self._before)
        took = [sum([await self._cycle(name) for name in names]) for _ in range(2)]
        self._worked = Worked()
        return {"cycle_s": round(took[0], 3), "idle_cycle_s": round(took[1], 4)}

    async def turn(self, which: str) -> dict[str, int]:
        """Begin an arm; what learners did in the one before."""
        if self._cycling:
            self._cycling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._cycling
            self._cycling = None
            await self._see(_ends(self._store))
        await self._house.policy.set("improvement", "off" if which == "off" else "on", _WHO)
        if which == "cycles":
            self._cycling = asyncio.create_task(self._again_and_again())
        worked, self._worked = self._worked, Worked()
        return asdict(worked)

    async def _again_and_again(self) -> None:
        while True:
            await self._see(self._before)
            for name in self._house.learning.loop.cycles.learners:
                await self._cycle(name)

    async def _cycle(self, name: str) -> float:
        began = time.perf_counter()
        before = self._worked.runs

        def looked(report: CycleReport) -> None:
            self._worked.runs = before + report.runs

        await self._house.learning.loop.cycles.cycle(name, looked)
        return time.perf_counter() - began

    async def _see(self, ends: tuple[int, int]) -> None:
        """Have all learners begin where runs and feedback ended then, knowing nothing."""
        for name in self._house.learning.loop.cycles.learners:
            with contextlib.suppress(StaleRevision):  # it is in a cycle of its own just now
                now = await self._store.learner_state(name)
                after = replace(
                    now, state={}, runs_seen=ends[0], feedback_seen=ends[1],
                    revision=now.revision + 1,
                )  # fmt: skip
                await self._store.decide(Decision(learners=(after,)))


def _ends(store: Store) -> tuple[int, int]:
    sql = "SELECT max(seq) AS seq FROM {}"
    found = [store._local.file.row(sql.format(table)) for table in ("runs", "feedback")]
    runs, feedback = (int(row["seq"] or 0) if row else 0 for row in found)
    return runs, feedback


async def main() -> None:
    """Answer people, and orders from standard input, until it ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    # As in `learning_cost`: what a learner would ask a model is refused, as where there is none.
    async with assistant(load_settings(), learners=lambda _: learners(NoModel())) as house:
        settle()
        switch = Switch(house)
        print(json.dumps(await switch.prepare()), flush=True)
        async for line in orders:
            print(json.dumps(await switch.turn(line.decode().strip())), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
