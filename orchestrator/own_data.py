"""What is kept about one person: told in numbers, given to them as files, forgotten everywhere."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from database.coordination import Coordination
from database.installations import InstallationRows
from database.known import Kept
from database.person_files import counted, export_person
from database.records import ForgetReport, Person, PolicyChange, Run, Summary
from database.store import Store
from goals.ledger import Goals

FILE = "my-data.jsonl"
GOALS_FILE = "my-goals.jsonl"
_MOST_GOALS = 100_000


@dataclass(frozen=True, slots=True)
class OwnSummary:
    """What is kept about somebody, without its words.

    `counts` by the names in person_files.KINDS; `since` is None where nothing has a time;
    `kept_days` is how long texts stay.
    """

    counts: Mapping[str, int]
    settings: Mapping[str, Any]
    since: float | None
    at_supabase: bool
    kept_days: int


@dataclass(frozen=True, slots=True)
class OwnData:
    """One workspace's record, and what is under way there, as its people may ask for their own."""

    store: Store
    coordination: Coordination
    installations: InstallationRows
    kept_days: int = 0
    goals: Goals | None = None

    async def summary(self, user_id: str) -> OwnSummary:
        """How much of what is kept. Raises StoreError."""
        known = await self.store.everything_about(user_id)
        person = next((kept for kept in known if isinstance(kept, Person)), None)
        health = await self.store.health()
        return OwnSummary(
            counts=counted(known),
            settings=person.settings if person else {},
            since=_since(known),
            at_supabase=health.supabase,
            kept_days=self.kept_days,
        )

    async def export(self, user_id: str) -> Sequence[tuple[str, bytes]]:
        """The files of `virtuous6 runs export --user`, by name; none that is empty.

        Raises StoreError.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE
            done = await export_person(self.store, path, user_id)
            files = [(file.name, file.read_bytes()) for file in (path, done.everything)]
        if self.goals:
            files.append((GOALS_FILE, await goals_as_lines(self.goals, user_id)))
        return [(name, content) for name, content in files if content]

    async def forget(self, user_id: str) -> ForgetReport:
        """Forget a person in the record (at Supabase too) and in what is under way; rows by table.

        The record goes first: where it is away nothing is deleted, and who was stopped in the
        middle finds the rest of the work where it was. Raises StoreError.
        """
        report = await self.store.forget(user_id)
        under_way = await self.forget_under_way(user_id)
        return replace(report, rows={**report.rows, "under way": under_way})

    async def forget_under_way(self, user_id: str) -> int:
        """What is not in the record; rows. For those, too, whom another home has forgotten."""
        under_way = await self.coordination.forget(user_id)
        await self.installations.forget(self.store.workspace, user_id)
        return under_way + (await self.goals.forget(user_id) if self.goals else 0)


async def goals_as_lines(goals: Goals, user_id: str) -> bytes:
    """All goals of a person, one JSON object a line. Raises StoreError."""
    found = await goals.goals(user_id, limit=_MOST_GOALS)
    return b"".join(orjson.dumps(asdict(goal), default=sorted) + b"\n" for goal in found)


def _since(known: Iterable[Kept]) -> float | None:
    return min(filter(None, map(_moment, known)), default=None)


def _moment(kept: Kept) -> float | None:
    match kept:
        case Run():
            return kept.started_at
        case Person():
            return None
        case Summary():
            return float(kept.until_ts)
        case PolicyChange():
            return kept.set_at
        case _:
            return kept.created_at
