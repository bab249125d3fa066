"""Recorded runs as files: one JSON object a line, `.jsonl` or `.jsonl.gz`.

The format is the one the README gives; others script against it.
"""

import asyncio
import gzip
import os
import pickle
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from database.errors import InputError, StoreError
from database.learning import AuditEntry
from database.privacy import Redactor
from database.records import (
    PUBLIC,
    ImportReport,
    Outcome,
    OutcomeSource,
    Run,
    RunKind,
    Step,
    StepKind,
    one_person,
    private_channel,
)
from database.store import Store

_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Amount = Annotated[float, Field(ge=0)]
_Name = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _StepLine(_Strict):
    kind: StepKind
    name: str
    arguments: dict[str, Any] | None = None
    ok: bool | None = None
    error: str | None = None
    duration_ms: _Amount | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cost_usd: _Amount | None = None


class _OutcomeLine(_Strict):
    success: bool | None = None
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    source: OutcomeSource | None = None


class _RunLine(_Strict):
    run_id: _Name
    parent_run_id: str | None = None
    kind: RunKind = "reply"
    started_at: datetime | None = None
    duration_ms: _Amount | None = None
    user: str | None = None
    channel: str | None = None
    request: str
    task_type: str | None = None
    agent: _Name
    agent_version: str | None = None
    model: str | None = None
    steps: list[_StepLine] = Field(default_factory=list)
    outcome: _OutcomeLine = Field(default_factory=_OutcomeLine)
    reply: str | None = None


async def import_runs(
    store: Store, path: Path, *, redactor: Redactor | None = None, audience: str | None = None
) -> ImportReport:
    """Add the runs of a file, redacted; all of it or, when a line is bad, nothing.

    A file does not say who may read its runs. Unless `audience` says it, those of a channel are
    for its members, those of a person for that person, and the others for everybody.
    Raises InputError with the number of the line and what is wrong with it.
    """
    redactor = redactor or Redactor()
    report = await asyncio.to_thread(_import, store, path, redactor, audience)
    counts = {"added": report.added, "known": report.known}
    await store.note(AuditEntry("command line", "runs imported", "", counts))
    return report


def _import(store: Store, path: Path, redactor: Redactor, audience: str | None) -> ImportReport:
    """Read and redact first, into a nameless file: the record is locked for the adding only."""
    with tempfile.TemporaryFile() as spool:
        count = 0
        for line in _lines(path):
            pickle.dump(redactor.redact_run(_run(line, audience)), spool)
            count += 1
        spool.seek(0)
        added = store.append_all(pickle.load(spool) for _ in range(count))
    return ImportReport(added=added, known=count - added)


async def export_runs(store: Store, path: Path, user: str | None = None) -> int:
    """Write all runs, or one person's, oldest first; how many. The file appears when it is whole.

    Raises StoreError when it cannot be written.
    """

    async def lines() -> AsyncIterator[str]:
        async for runs in store.pages_of_runs(user):
            for run in runs:
                yield _line(run).model_dump_json()

    return await write_lines(path, lines())


async def write_lines(path: Path, lines: AsyncIterator[str]) -> int:
    """Write lines into a file that its owner alone can read, packed where it is called `.gz`.

    It appears when it is whole. How many there were. Raises StoreError when it cannot be written.
    """
    count = 0
    part = path.with_name(f"{path.name}.part")
    try:
        with _private(part, packed=path.suffix == ".gz") as file:
            async for line in lines:
                file.write(line.encode() + b"\n")
                count += 1
        part.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"{path} could not be written: {reason}. Choose another place.") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return count


def _private(path: Path, *, packed: bool) -> IO[bytes] | gzip.GzipFile:
    """A new file that only its owner can read."""
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    raw = os.fdopen(handle, "wb")
    return _Packed(raw) if packed else raw


class _Packed(gzip.GzipFile):
    """A gzip file that also closes the file it writes to."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__(fileobj=raw, mode="wb", mtime=0)
        self._raw = raw

    def close(self) -> None:
        super().close()
        self._raw.close()


def _lines(path: Path) -> Iterator[_RunLine]:
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rb") as file:
            for line in file:
                number += 1
                if line.strip():
                    yield _RunLine.model_validate_json(line.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        raise InputError(
            f"{path}, line {number}: {_explained(error)}. Nothing of the file was kept; "
            "correct the line and import it again."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        where = f" after line {number}" if number else ""
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path} could not be read{where}: {reason}. Nothing of it was kept."
        ) from error


def _explained(error: ValidationError) -> str:
    errors = error.errors(include_url=False)
    # Of another kind of file the keys that are there say more than those that are not.
    first = min(errors, key=lambda found: found["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {place}"
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def _run(line: _RunLine, audience: str | None) -> Run:
    steps = tuple(
        Step(position=position, **step.model_dump()) for position, step in enumerate(line.steps)
    )
    costs = [step.cost_usd for step in steps]
    return Run(
        run_id=line.run_id,
        parent_run_id=line.parent_run_id,
        kind=line.kind,
        started_at=None if line.started_at is None else _seconds(line.started_at),
        duration_ms=line.duration_ms,
        user_id=line.user,
        channel_id=line.channel,
        audience=audience or _audience(line),
        request=line.request,
        task_type=line.task_type,
        agent=line.agent,
        agent_version=line.agent_version,
        model=line.model,
        steps=steps,
        outcome=Outcome(line.outcome.success, line.outcome.score, line.outcome.source),
        reply=line.reply,
        input_tokens=sum(step.input_tokens or 0 for step in steps) if steps else None,
        output_tokens=sum(step.output_tokens or 0 for step in steps) if steps else None,
        cost_usd=_sum_if_known(costs),
    )


def _sum_if_known(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if costs and len(known) == len(costs) else None


def _audience(line: _RunLine) -> str:
    if line.channel is not None:
        return private_channel(line.channel)
    return PUBLIC if line.user is None else one_person(line.user)


def _seconds(moment: datetime) -> float:
    """A time without a zone is UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _line(run: Run) -> _RunLine:
    started = None if run.started_at is None else datetime.fromtimestamp(run.started_at, UTC)
    return _RunLine(
        run_id=run.run_id,
        parent_run_id=run.parent_run_id,
        kind=run.kind,
        started_at=started,
        duration_ms=run.duration_ms,
        user=run.user_id,
        channel=run.channel_id,
        request=run.request,
        task_type=run.task_type,
        agent=run.agent,
        agent_version=run.agent_version,
        model=run.model,
        steps=[_step_line(step) for step in run.steps],
        outcome=_OutcomeLine(
            success=run.outcome.success, score=run.outcome.score, source=run.outcome.source
        ),
        reply=run.reply,
    )


def _step_line(step: Step) -> _StepLine:
    return _StepLine(
        kind=step.kind,
        name=step.name,
        arguments=None if step.arguments is None else dict(step.arguments),
        ok=step.ok,
        error=step.error,
        duration_ms=step.duration_ms,
        input_tokens=step.input_tokens,
        output_tokens=step.output_tokens,
        cost_usd=step.cost_usd,
    )
