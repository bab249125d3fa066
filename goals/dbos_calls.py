"""What the goals' queue asks of DBOS; each of these runs in a thread that has no loop.

DBOS takes 0.75 s to import, so it is imported by the first of these, which nobody calls who has no
goals. Only its public interface is used, and no proprietary part of it.
"""

import contextlib
import functools
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from goals.sql import postgres_url

FILE = "queue.db"
"""DBOS's own tables, when alone: beside the goals', so that neither waits for the other."""

VERSION = "goals-1"
"""Of what workflows mean, never of the code: DBOS's default, a hash of the source, would leave what
runs alone for ever after an upgrade. Raise it when an attempt in the queue could not be run by the
code any more, and say what becomes of those.
"""

QUEUE = "attempts"
POLL_S = 0.2
"""How soon a worker that has room sees a new attempt."""

DELETED_AT_ONCE = 500
_APPLICATION = "virtuous6"
_WORKFLOW = "goal_attempt"
_SCHEMA = "dbos"
_CONNECTIONS = 5
"""To Postgres, for each process."""
_SAID_AGAIN_S = 60.0
_SAID_CHARACTERS = 500

_log = structlog.get_logger(__name__)

Which = tuple[str, str, str, int]
"""(workspace, goal id, task's key, attempt)."""
Run = Callable[[str, Which], None]
"""Runs an attempt for a workflow, in its thread, until it has ended; raises Left if it has not."""


class Left(BaseException):
    """Ends a workflow's thread without an outcome: another process goes on with it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the queue is: a file in the home, or Postgres; what this process takes of it."""

    home: Path
    url: str | None
    worker: str
    slots: int
    per_person: int


_run: Run | None = None


def launch(place: Place, run: Run) -> None:
    """Take attempts from now on, and have each run by `run`."""
    from dbos import DBOS  # noqa: PLC0415 (see above)

    global _run
    _quiet()
    _register_workflow()
    _run = run
    address = _file(place.home / FILE) if place.url is None else postgres_url(place.url)
    DBOS(
        config={
            "name": _APPLICATION,
            "system_database_url": address,
            "dbos_system_schema": _SCHEMA,
            "application_version": VERSION,
            "executor_id": place.worker,
            "sys_db_pool_size": _CONNECTIONS,
            "use_listen_notify": False,  # nothing waits for messages; poolers lose them
            "enable_otlp": False,
            "log_level": "WARNING",
            "scheduler_polling_interval_sec": 3600.0,
        }
    )
    try:
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=place.slots,
            partition_concurrency=place.per_person,
            polling_interval_sec=POLL_S,
        )
    except BaseException:
        DBOS.destroy()
        raise


@functools.cache
def _register_workflow() -> None:
    """Once in a process: DBOS keeps what is registered also when it is closed."""
    from dbos import DBOS, WorkflowSerializationFormat  # noqa: PLC0415 (see above)

    def attempt(workspace: str, goal_id: str, key: str, number: int) -> None:
        run, workflow = _run, DBOS.workflow_id
        if run is None or workflow is None:
            raise Left
        run(workflow, (workspace, goal_id, key, number))

    DBOS.workflow(
        name=_WORKFLOW,
        max_recovery_attempts=None,  # goals.execution counts itself
        serialization_type=WorkflowSerializationFormat.PORTABLE,
    )(attempt)


def enqueue(workflow: str, partition: str, which: Which, delay_s: float = 0.0) -> None:
    """Queue an attempt, to be taken so much later; one whose workflow is known stays as it is."""
    from dbos import DBOS, EnqueueOptions, WorkflowSerializationFormat  # noqa: PLC0415 (see above)

    options: EnqueueOptions = {
        "workflow_name": _WORKFLOW,
        "queue_name": QUEUE,
        "workflow_id": workflow,
        "app_version": VERSION,
        "queue_partition_key": partition,
        # JSON: whoever can write to the database shall not make us run what they pickled.
        "serialization_type": WorkflowSerializationFormat.PORTABLE,
    }
    if delay_s > 0:
        options["delay_seconds"] = delay_s
    DBOS.enqueue_workflow_with_options(options, *which)


def pending() -> dict[str, str]:
    """Workflows that some worker has begun, and which."""
    from dbos import DBOS  # noqa: PLC0415 (see above)

    found = DBOS.list_workflows(
        status="PENDING", name=_WORKFLOW, load_input=False, load_output=False
    )
    return {one.workflow_id: one.executor_id or "" for one in found}


def delayed() -> list[str]:
    """Workflows that were queued for later."""
    from dbos import DBOS  # noqa: PLC0415 (see above)

    found = DBOS.list_workflows(
        status="DELAYED", name=_WORKFLOW, load_input=False, load_output=False
    )
    return [one.workflow_id for one in found]


def statuses(workflows: Sequence[str]) -> dict[str, str]:
    """How far workflows are, by id; unknown ones are left out."""
    from dbos import DBOS  # noqa: PLC0415 (see above)

    found = DBOS.list_workflows(workflow_ids=list(workflows), load_input=False, load_output=False)
    return {one.workflow_id: str(one.status) for one in found}


def statuses_of_all(workflow: str) -> dict[str, str]:
    """The same of all workflows whose ids begin so."""
    from dbos import DBOS  # noqa: PLC0415 (see above)

    found = DBOS.list_workflows(workflow_id_prefix=workflow, load_input=False, load_output=False)
    return {one.workflow_id: str(one.status) for one in found}


def resume(workflows: Sequence[str]) -> None:
    """Put workflows back into the queue, whoever had them; those that have ended stay so."""
    from dbos import DBOS  # noqa: PLC0415 (see above)

    DBOS.resume_workflows(list(workflows), queue_name=QUEUE)


def delete_ended(before: datetime) -> int:
    """Delete some workflows that ended before; how many."""
    from dbos import DBOS  # noqa: PLC0415 (see above)

    found = DBOS.list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED"], completed_before=before.isoformat(),
        name=_WORKFLOW, limit=DELETED_AT_ONCE, load_input=False, load_output=False,
    )  # fmt: skip
    if found:
        DBOS.delete_workflows([one.workflow_id for one in found])
    return len(found)


def cancel_waiting(workflow: str) -> None:
    """Take a workflow out of the queue where it still waits there."""
    from dbos import DBOS  # noqa: PLC0415 (see above)

    if statuses([workflow]).get(workflow) in ("ENQUEUED", "DELAYED"):
        DBOS.cancel_workflow(workflow)


def destroy() -> None:
    """Take no attempts any more; may be launched again."""
    from dbos import DBOS  # noqa: PLC0415 (see above)

    DBOS.destroy()


def _file(path: Path) -> str:
    """DBOS's file, ours alone and in the journal mode that is ten times faster; it persists."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    return f"sqlite:///{path}"


class _Quiet(logging.Handler):
    """What DBOS has to say goes where everything else is logged; it never prints.

    While its database is away it says so ten times a second: here once in a while.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Only warnings get here."""
        says = record.getMessage().partition("\n")[0]
        kind, now = says.partition(":")[0], time.monotonic()
        if now - self._said.get(kind, -_SAID_AGAIN_S) >= _SAID_AGAIN_S:
            self._said[kind] = now
            _log.warning("dbos", says=says[:_SAID_CHARACTERS])


def _quiet() -> None:
    logger = logging.getLogger("dbos")
    if not any(isinstance(handler, _Quiet) for handler in logger.handlers):
        logger.addHandler(_Quiet())
    logger.propagate = False
    logger.setLevel(logging.WARNING)
