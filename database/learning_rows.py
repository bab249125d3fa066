"""The records of learning to rows and back: one description of a table for every backend.

Columns are named like the fields of the record, after `workspace`; but `check` is a word of SQL.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar

from database.errors import InputError, UnreadableRow
from database.learning import (
    AuditEntry,
    Change,
    Decision,
    ExamQuestion,
    Finding,
    LearnerState,
    Observation,
    Proposal,
    Trial,
)
from database.records import Document
from database.rows import Row, Values, from_json, readable, readable_or_none

T = TypeVar("T")


def packed(value: Any) -> str:
    """Canonical JSON: the same value is always the same text, and one that Postgres takes.

    Raises InputError for what cannot be written as JSON.
    """
    try:
        text = _dumped(value)
        return _clean(_dumped(_without_nul(value)) if "\\u0000" in text else text)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"A record of learning holds what cannot be kept: {error}. Give it plain texts, "
            "finite numbers, lists and mappings."
        ) from error


def _dumped(value: Any) -> str:
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def _clean(text: str) -> str:
    """Without half surrogate pairs and zero bytes, which databases do not take."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\x00", "\ufffd")
        case Mapping():
            return {_without_nul(key): _without_nul(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_without_nul(entry) for entry in value]
        case _:
            return value


def _changes(text: str, column: str) -> tuple[Change, ...]:
    try:
        return _changes_of(from_json(text, column, list))
    except (KeyError, TypeError) as error:
        raise UnreadableRow(f"{column} holds no changes ({error!r}).") from error


def _changes_of(values: list[dict[str, Any]]) -> tuple[Change, ...]:
    return tuple(
        Change(
            kind=value["kind"],
            name=value["name"],
            base=value["base"],
            body={} if (gone := _forgotten(value)) else value["body"],
            audience=value["audience"],
            forgotten=gone,
        )
        for value in values
    )


def _forgotten(value: dict[str, Any]) -> str | None:
    """One whose body was forgotten has kept its version."""
    version: str | None = value["version"]
    return version if value["body"] is None else None


def _change_values(changes: tuple[Change, ...]) -> list[dict[str, Any]]:
    return [
        {
            "kind": change.kind,
            "name": change.name,
            "base": change.base,
            "version": change.version,
            "body": None if change.forgotten else change.body,
            "audience": change.audience,
        }
        for change in changes
    ]


def _mapping(text: str, column: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = from_json(text, column, dict)
    return found


def _texts(text: str, column: str) -> tuple[str, ...]:
    return tuple(from_json(text, column, list))


class Table(Generic[T]):
    """How the records of one table are written and read; the first of `key` names a record."""

    def __init__(
        self,
        name: str,
        make: Callable[..., T],
        key: str,
        json_fields: Mapping[str, Callable[[str, str], Any]],
        renamed: Mapping[str, str] | None = None,
        leave_out: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.key = key
        self._make = make
        self._json = json_fields
        self._columns = {
            field.name: (renamed or {}).get(field.name, field.name)
            for field in fields(make)  # type: ignore[arg-type]
            if field.name not in leave_out
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that `values` fills, in its order."""
        return ("workspace", *self._columns.values())

    def values(self, workspace: str, record: T) -> Values:
        """One record as a row."""
        return (
            workspace,
            *(self._packed(field, getattr(record, field)) for field in self._columns),
        )

    def row(self, workspace: str, record: T) -> dict[str, Any]:
        """One record as a row, by column."""
        return dict(zip(self.columns, self.values(workspace, record), strict=True))

    def read(self, row: Row) -> T:
        """The record of a row. Raises UnreadableRow."""
        return self._make(
            **{field: self._read(field, column, row) for field, column in self._columns.items()}
        )

    def read_all(self, found: Iterable[Row]) -> list[T]:
        """The records of the rows that can be read."""
        return readable(found, self.read, self.key)

    def read_or_none(self, row: Row) -> T | None:
        """The record of a row; None where it cannot be read."""
        return readable_or_none(row, self.read, self.key)

    def insert(self, *more: str, conflict: str = "DO NOTHING") -> str:
        """The statement that adds a row, with columns that come behind those of `values`."""
        columns = (*self.columns, *more)
        places = ", ".join("?" for _ in columns)
        return (
            f"INSERT INTO {self.name} ({', '.join(columns)}) VALUES ({places}) "
            f"ON CONFLICT {conflict}"
        )

    def upsert(self, *more: str) -> str:
        """The statement that adds a row or writes over that of the same key."""
        changed = [column for column in (*self.columns, *more) if column not in self._names]
        sets = ", ".join(f"{column} = excluded.{column}" for column in changed)
        return self.insert(*more, conflict=f"({', '.join(self._names)}) DO UPDATE SET {sets}")

    @property
    def _names(self) -> tuple[str, str]:
        return ("workspace", self.key)

    def _packed(self, field: str, value: Any) -> Any:
        if field == "changes":
            return packed(_change_values(value))
        if field in self._json and value is not None:
            return packed(value)
        return _clean(value) if isinstance(value, str) else value

    def _read(self, field: str, column: str, row: Row) -> Any:
        value = row[column]
        if field in self._json and value is not None:
            return self._json[field](value, column)
        return value


PROPOSALS = Table(
    "proposals", Proposal, "proposal_id",
    {"changes": _changes, "evidence": _mapping, "expected": _mapping, "risk_reasons": _texts},
)  # fmt: skip
TRIALS = Table("trials", Trial, "trial_id", {"figures": _mapping})
FINDINGS = Table("findings", Finding, "finding_id", {"data": _mapping, "runs": _texts})
LEARNERS = Table("learner_states", LearnerState, "learner", {"state": _mapping})
OBSERVATIONS = Table("observations", Observation, "observation_id", {})
EXAM = Table(
    "exam_questions", ExamQuestion, "question_id", {"check": _mapping}, {"check": "answer_check"}
)
AUDIT = Table("audit", AuditEntry, "seq", {"details": _mapping})

DECIDED: Mapping[str, Table[Any]] = {
    table.name: table for table in (PROPOSALS, TRIALS, FINDINGS, LEARNERS)
}
"""What a decision moves: each has a revision, and a number of its last change."""


def moving(decision: Decision) -> list[tuple[Table[Any], Sequence[Any]]]:
    """The records that a decision moves, by table."""
    records: dict[str, Sequence[Any]] = {
        "proposals": decision.proposals,
        "trials": decision.trials,
        "findings": decision.findings,
        "learner_states": decision.learners,
    }
    return [(DECIDED[name], found) for name, found in records.items()]


def document_of(change: Change, decision: Decision, at: float) -> Document:
    """The version that a change makes."""
    return Document(
        change.kind, change.name, change.body or {}, change.version or "", base=change.base,
        origin="proposal", author=decision.author, reason=decision.reason,
        audience=change.audience, created_at=at,
    )  # fmt: skip


def refuse_twice(decision: Decision) -> None:
    """A decision moves each record and each document once. Raises InputError."""
    keys = [
        (table.name, getattr(record, table.key))
        for table, records in moving(decision)
        for record in records
    ]
    keys += [(change.kind, change.name) for change in decision.changes]
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise InputError(
            f"One decision moves {' '.join(twice[0])} twice. Make it two decisions, or one move."
        )
