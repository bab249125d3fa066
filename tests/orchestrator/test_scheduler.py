import asyncio
from datetime import UTC, datetime, timedelta

from orchestrator.scheduler import Scheduler
from tests.patience import PATIENCE_S


async def test_jobs_run_at_their_time_and_a_failing_one_is_logged_only() -> None:
    scheduler = Scheduler()
    ran = asyncio.Event()

    async def bad() -> None:
        raise RuntimeError("no")

    async def good() -> None:
        ran.set()

    scheduler.every("bad", "* * * * *", bad)
    scheduler.every("good", "* * * * *", good)
    scheduler.start()
    try:
        times = scheduler.next_times()
        assert set(times) == {"bad", "good"}
        soon = datetime.now(UTC) + timedelta(seconds=61)
        assert all(time <= soon for time in times.values())
        scheduler.hurry()
        await asyncio.wait_for(ran.wait(), PATIENCE_S)
    finally:
        scheduler.stop()
    scheduler.stop()


async def test_a_job_can_also_run_at_the_start() -> None:
    scheduler = Scheduler()
    ran = asyncio.Event()

    async def job() -> None:
        ran.set()

    scheduler.every("yearly", "0 0 1 1 *", job, at_start=True)
    scheduler.start()
    try:
        await asyncio.wait_for(ran.wait(), PATIENCE_S)
        assert scheduler.next_times()["yearly"] > datetime.now(UTC)
    finally:
        scheduler.stop()
