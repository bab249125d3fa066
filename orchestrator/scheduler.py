"""The clock: what happens by itself, and when."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

log = structlog.get_logger()

Job = Callable[[], Awaitable[None]]


class Scheduler:
    """Runs jobs on cron times (UTC) in this process.

    What was missed while the machine slept runs once; what was missed while the process was down
    does not, unless the job also runs at the start.
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    def every(self, name: str, cron: str, job: Job, *, at_start: bool = False) -> None:
        """Run `job` at the times of a five-field cron line; a failure is logged.

        `at_start` runs it at once as well, for what a machine that is off at night would miss.
        """

        async def guarded() -> None:
            try:
                await job()
            except Exception:
                log.exception("job_failed", job=name)

        self._scheduler.add_job(
            guarded,
            CronTrigger.from_crontab(cron, timezone="UTC"),
            id=name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
            **({"next_run_time": datetime.now(UTC)} if at_start else {}),
        )

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._scheduler.start()

    def next_times(self) -> dict[str, datetime]:
        """When each job runs next, by name."""
        return {job.id: job.next_run_time for job in self._scheduler.get_jobs()}

    def hurry(self) -> None:
        """Run every job now, once, and go on as planned."""
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))

    def stop(self) -> None:
        """Stop; jobs that run are left to end with the loop."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
