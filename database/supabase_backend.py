"""The record at Supabase, with the local record as its copy and as what is written first.

Facts reach it through the outbox. Decisions are made there by one SQL function each, and show in
the local copy when they return; while Supabase is away they wait for whoever decides to try again.
Figures and exports are read there, after what happened here has been sent; while it is away,
figures come from the local copy and say so.
"""

import asyncio
import contextlib
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
import structlog

from database import rows
from database.errors import InputError, RecordAway, RecordMisconfigured, StoreError
from database.known import Kept, together
from database.local_copy import LocalCopy, ended
from database.metrics import added_up, query_behind
from database.outbox import MAX_ROWS, Outbox
from database.records import (
    AgentRecord,
    Document,
    ForgetReport,
    Metrics,
    RecordHealth,
    Run,
    RunQuery,
)
from database.refusals import stale, taken, unknown
from database.run_counts import COUNTS, DAY_SECONDS, Count
from database.sqlite_backend import SqliteBackend
from database.supabase_learning import SupabaseLearning
from database.trimming import Trimming, last_trimmed

FLUSH_SECONDS = 2.0
"""So long figures wait for what happened here to arrive there."""
START_SECONDS = 15.0
CLOSE_SECONDS = 5.0
OLD_RUN_SECONDS = 2.0
"""So long is a run waited for that is at Supabase only."""
TRIM_AFTER_SECONDS = 600.0
TRIM_EVERY_SECONDS = 86_400.0
LONG_AWAY_SECONDS = 3600.0
"""Then somebody has to look after it."""
_PAGE = 200
_PURGED_AT_ONCE = 1000
_ON_ITS_WAY = "Some of what happened in the last moments is still on its way to Supabase."
_AWAY = "Supabase is away: these are the figures of this machine's own copy."

_log = structlog.get_logger(__name__)


class Supabase(Protocol):
    """What is needed of Supabase (supabase_client.SupabaseClient)."""

    async def upsert(self, table: str, rows: Sequence[Any]) -> None:
        """Add rows or write over those of the same key."""

    async def delete(self, table: str, keys: Sequence[Sequence[str | int]]) -> None:
        """Delete what there is of these keys."""

    async def call(self, function: str, *, read: bool = False, **arguments: Any) -> Any:
        """What an SQL function answers."""


class SupabaseBackend:
    """The record of one workspace at Supabase: a backend.Backend.

    Whoever opened the client closes it, after this.
    """

    def __init__(
        self, local: SqliteBackend, client: Supabase, *, outbox_max_rows: int = MAX_ROWS
    ) -> None:
        self._local = local
        self._client = client
        self._outbox = Outbox(local.file, local.workspace, client, max_rows=outbox_max_rows)
        self._copy = LocalCopy(local, client, self._outbox.rows)
        self._trimming = Trimming(local.file, self._outbox.rows, local.workspace, self._known)
        self._keeping: asyncio.Task[None] | None = None
        self._letting_go: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def local(self) -> SqliteBackend:
        """The local record."""
        return self._local

    @property
    def learning(self) -> SupabaseLearning:
        """Learning's part of the record."""
        return SupabaseLearning(self._local, self._copy.learning, self)

    async def start(self) -> None:
        """Take over what was decided elsewhere, then go on doing so, and send what happens here."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._copy.look()
        except (RecordAway, RecordMisconfigured, TimeoutError) as error:
            self._copy.note_away(error)
        await self._outbox.start()
        self._keeping = asyncio.create_task(self._copy.keep())
        self._letting_go = asyncio.create_task(self._let_go())

    async def close(self) -> None:
        """Stop; what was not sent yet is sent by the next start."""
        if self._closed:
            return
        self._closed = True
        if self._letting_go is not None:
            await ended(self._letting_go)
        if self._keeping is not None:
            await ended(self._keeping)
        elif self._outbox.rows.is_due(self._outbox.rows.last(), time.time()):
            await self._outbox.flush(CLOSE_SECONDS)
        await self._outbox.stop(CLOSE_SECONDS)
        self._local.file.close()

    def appended(self) -> None:
        """Send it soon."""
        self._outbox.kick()

    async def trim(self, now: float) -> int:
        """Let go of old runs that Supabase has; how many. Raises RecordAway."""
        return await self._trimming.trim(now)

    async def _known(self, run_ids: Sequence[str]) -> list[str]:
        return list(await self._do("runs_known", read=True, runs=list(run_ids)))

    async def _let_go(self) -> None:
        """Once a day, for ever."""
        while True:
            await asyncio.sleep(TRIM_AFTER_SECONDS)
            try:
                if runs := await self.trim(time.time()):
                    _log.info("old_runs_kept_at_supabase_only", runs=runs)
            except (RecordAway, RecordMisconfigured) as error:
                _log.info("old_runs_stay_for_now", reason=str(error))
            except StoreError as error:
                _log.warning("old_runs_stay_for_now", reason=str(error))
            await asyncio.sleep(TRIM_EVERY_SECONDS)

    def stop_sending(self) -> int:
        """Refused: everything is sent."""
        raise InputError(
            "Supabase is configured, so everything is sent there. To end that, unset SUPABASE_URL "
            "and SUPABASE_SERVICE_ROLE_KEY first, restart the assistant, and try again."
        )

    async def follow_forgetting(self, follower: Callable[[str], Awaitable[object]]) -> None:
        """Let a follower know of each person who is forgotten here because another home did so."""
        await self._copy.forgotten.follow(follower)

    async def health(self) -> RecordHealth:
        """Both ways: what waits to be sent, and how old the copy is."""
        outbox = await self._outbox.health()
        warnings = outbox.warnings()
        away_s = time.time() - (self._copy.away_since or time.time())
        if away_s > LONG_AWAY_SECONDS:
            warnings.insert(
                0,
                f"Supabase has been away for {away_s / 3600:.1f} hours; nothing can be decided "
                f"meanwhile. {self._copy.problem}",
            )
        return RecordHealth(
            supabase=True,
            away_since=self._copy.away_since,
            copied_at=self._copy.copied_at,
            waiting=outbox.waiting,
            refused=outbox.refused,
            oldest_s=outbox.oldest_s,
            problem=self._copy.problem or outbox.problem,
            warnings=tuple(warnings),
        )

    # Decisions

    async def create(self, made: Document) -> Document:
        """Version 1 of something new. Raises InputError when the name is taken."""
        return await self._decide("create_document", made)

    async def activate(self, made: Document) -> Document:
        """Make it the active version. Raises UnknownName and StaleBase."""
        return await self._decide("activate_document", made)

    async def _decide(self, function: str, made: Document) -> Document:
        values = rows.document_values(
            self._local.workspace, replace(made, created_at=time.time(), active=True)
        )
        document = dict(zip(rows.DOCUMENT.split(", "), values, strict=True))
        async with self._copy.one_at_a_time:
            answer = await self._do(function, document=document)
            if refused := answer.get("refused"):
                await self._look_again(made)
                raise _refusal(refused, made, answer)
            self._copy.take_documents(answer["documents"])
        active = self._local.document(made.kind, made.name)
        if active is None:
            raise StoreError(f"{made.name} is not in the local copy: restart the program.")
        return rows.document_from(active)

    async def _look_again(self, made: Document) -> None:
        """Whoever was refused is to see why."""
        names = [[made.kind, made.name]]
        self._copy.take_documents(await self._do("documents_named", read=True, names=names))

    async def ask(self, function: str, *, read: bool = False, **arguments: Any) -> Any:
        """What a function answers for the workspace. Raises RecordAway in words for people."""
        return await self._do(function, read=read, **arguments)

    async def ask_or_none(self, function: str, **arguments: Any) -> Any:
        """What a reading function answers; None while Supabase is away."""
        return await self._read(function, **arguments)

    async def count_runs(self, query: RunQuery) -> Sequence[Count] | None:
        """Counts of runs in pieces; None while Supabase is away."""
        found = await self._read("run_counts", query=_json(query))
        return None if found is None else [_count(row) for row in found]

    async def flush(self) -> None:
        """Wait a moment for what happened here to arrive there."""
        await self._outbox.flush(FLUSH_SECONDS)

    async def _do(self, function: str, *, read: bool = False, **arguments: Any) -> Any:
        if "document" not in arguments:
            arguments["p_workspace"] = self._local.workspace
        try:
            return await self._client.call(function, read=read, **arguments)
        except (RecordAway, RecordMisconfigured) as error:
            raise type(error)(
                f"What is decided is kept at Supabase, and waits until it is back; {self._age()} "
                f"counts meanwhile. {error}"
            ) from error

    def _age(self) -> str:
        if self._copy.copied_at is None:
            return "what this machine knows"
        moment = datetime.fromtimestamp(self._copy.copied_at, UTC)
        day = "" if moment.date() == datetime.now(UTC).date() else f"{moment:%Y-%m-%d} "
        return f"what was decided until {day}{moment:%H:%M:%S} UTC"

    # Figures

    async def runs(self, query: RunQuery, with_steps: bool) -> list[Run]:
        """Newest first; runs without a time come last."""
        await self._outbox.flush(FLUSH_SECONDS)
        found = await self._read("list_runs", query=_json(query), with_steps=with_steps)
        if found is None:
            return await self._local.runs(query, with_steps)
        return rows.runs_with_steps(found)

    async def old_run(
        self, run_id: str | None, channel_id: str | None, ts: str | None
    ) -> Run | None:
        """One of those that were let go of here."""
        day = last_trimmed(self._local.file, self._local.workspace)
        if day is None or (ts is not None and _day_of(ts) > day):
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OLD_RUN_SECONDS):
                found = await self._read("one_run", p_run=run_id, p_channel=channel_id, p_ts=ts)
                return next(iter(rows.runs_with_steps([found] if found else [])), None)
        return None

    async def page_of_runs(self, after: int, user_id: str | None) -> tuple[int, list[Run]]:
        """The next runs as they were recorded. Raises RecordAway: an export is whole or none."""
        if not after:
            await self._outbox.flush(FLUSH_SECONDS)
        found = await self._client.call(
            "page_of_runs",
            read=True,
            p_workspace=self._local.workspace,
            after=after,
            of_user=user_id,
            page=_PAGE,
        )
        return (found[-1]["seq"] if found else after), rows.runs_with_steps(found)

    async def metrics(self, query: RunQuery) -> Metrics:
        """Success, speed, cost and feedback of all runs that the query matches."""
        sent = await self._outbox.flush(FLUSH_SECONDS)
        others = query_behind(query)
        found = await self._read("run_counts", query=_json(query))
        behind: Any = []
        if found is not None and others is not None:
            behind = await self._read("run_counts", query=_json(others))
        if found is None or behind is None:
            found_here = await self._local.metrics(query)
            return replace(found_here, note=f"{_AWAY} {found_here.note}".strip())
        figures = added_up(query, map(_count, found), map(_count, behind))
        return replace(figures, note="" if sent else _ON_ITS_WAY)

    async def agent_records(self, since: float) -> list[AgentRecord]:
        """How each agent did with each type of task since a moment."""
        await self._outbox.flush(FLUSH_SECONDS)
        found = await self._read("agent_records", since=since)
        if found is None:
            return await self._local.agent_records(since)
        return [AgentRecord(**row) for row in found]

    async def _read(self, function: str, **arguments: Any) -> Any:
        """What the record answers; None while it is away."""
        if self._copy.away_since is not None and self._keeping is not None:
            return None
        try:
            return await self._client.call(
                function, read=True, p_workspace=self._local.workspace, **arguments
            )
        except (RecordAway, RecordMisconfigured) as error:
            _log.warning("figures_from_local_copy", reason=str(error))
            return None

    # Privacy

    async def everything_about(self, user_id: str) -> list[Kept]:
        """What `forget` would empty or delete. Raises RecordAway: it is all or nothing."""
        await self._outbox.flush(FLUSH_SECONDS)
        found = await self._do("everything_about", read=True, p_user=user_id)
        return together(rows.runs_with_steps(found["runs"]), found)

    async def forget(self, user_id: str) -> ForgetReport:
        """There, then here. Raises RecordAway; then nothing was changed."""
        # What was learned is known by the runs that it rests on: there, or still on their way.
        await self._outbox.flush(CLOSE_SECONDS)
        async with self._copy.one_at_a_time:
            waiting = self._local.learned.runs_on_their_way(user_id)
            there = await self._do("forget_person", p_user=user_id)
            if waiting:
                await self._do("unlearn_runs", p_user=user_id, runs=waiting)
            notes = await self._copy.forgotten.unknown()
            theirs = [note for note in notes if note.is_of(user_id)]
            here = await self._copy.forgotten.forget_here(user_id, theirs)
            self._copy.learning.look_at_all()
            await self._copy.learning.take_changed()
        # Until they are sent, the outbox names rows by keys that may hold the id.
        await self._outbox.flush(CLOSE_SECONDS)
        await self._copy.forgotten.wipe_when_sent()
        more = {table: max(count, here.rows.get(table, 0)) for table, count in there.items()}
        return ForgetReport(user_id, {**here.rows, **more})

    async def purge(self, before: float) -> Mapping[str, int]:
        """Here, then there, where it is not away; retention comes again every day."""
        here = await self._local.purge(before)
        try:
            there = await self._purge_there(before)
        except (RecordAway, RecordMisconfigured) as error:
            _log.warning("old_texts_wait_at_supabase", reason=str(error))
            return here
        return {name: max(count, there.get(name, 0)) for name, count in here.items()}

    async def _purge_there(self, before: float) -> dict[str, int]:
        there: dict[str, int] = {}
        after: int | None = 0
        while after is not None:
            found = await self._do(
                "purge_texts", p_before=before, p_after=after, p_limit=_PURGED_AT_ONCE
            )
            after = found.pop("after")
            for table, count in found.items():
                there[table] = there.get(table, 0) + count
        return there

    async def erase(self) -> Mapping[str, int]:
        """There, then here. Raises RecordAway where that is to be done again."""
        async with self._copy.one_at_a_time:
            there = await self._do("erase_workspace")
            here = await self._local.erase()
        # What was on its way meanwhile is deleted again, by keys.
        if not await self._outbox.flush(CLOSE_SECONDS):
            raise RecordAway(
                "Supabase went away while the workspace was erased: erase it again when it is back."
            )
        return {**there, **{name: max(count, there.get(name, 0)) for name, count in here.items()}}


def _refusal(why: str, made: Document, answer: Mapping[str, Any]) -> StoreError | Exception:
    match why:
        case "taken":
            return taken(made)
        case "unknown":
            return unknown(made)
        case _:
            return stale(made, answer["number"])


def _json(query: RunQuery) -> dict[str, Any]:
    return {
        "kinds": list(query.kinds),
        "user_id": query.user_id,
        "channel_id": query.channel_id,
        "thread_ts": query.thread_ts,
        "agent": query.agent,
        "since": query.since,
        "until": query.until,
        "audiences": None if query.audiences is None else sorted(query.audiences),
        "limit": query.limit,
    }


def _day_of(ts: str) -> int:
    with contextlib.suppress(ValueError):
        return int(float(ts) // DAY_SECONDS)
    return 0


def _count(row: Mapping[str, Any]) -> Count:
    counts = {name: row[name] for name in COUNTS}
    durations = np.frombuffer(b64decode(row["durations"] or ""), dtype=">f4").astype(np.float64)
    return Count(row["day"], row["agent"], counts, durations if durations.size else None)
