"""The records of learning to rows and back: one description of a table for every backend.

Columns are named like the fields of the record, after `workspace`; but `check` is a word of SQL.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Generic, TypeVar

from database.learning import (
    AuditEntry,
    Change,
    ExamQuestion,
    Finding,
    LearnerState,
    Observation,
    Proposal,
    Trial,
)
from database.rows import Row, Values

T = TypeVar("T")


def packed(value: Any) -> str:
    """Canonical JSON: the same value is always the same text."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _changes(values: list[dict[str, Any]]) -> tuple[Change, ...]:
    return tuple(
        Change(
            kind=value["kind"],
            name=value["name"],
            base=value["base"],
            # One whose body was forgotten has kept its version.
            body={} if value["body"] is None and value["version"] else value["body"],
            audience=value["audience"],
        )
        for value in values
    )


def _change_values(changes: tuple[Change, ...]) -> list[dict[str, Any]]:
    return [
        {
            "kind": change.kind,
            "name": change.name,
            "base": change.base,
            "version": change.version,
            "body": change.body,
            "audience": change.audience,
        }
        for change in changes
    ]


def _same(value: Any) -> Any:
    return value


class Table(Generic[T]):
    """How the records of one table are written and read; the first of `key` names a record."""

    def __init__(
        self,
        name: str,
        make: Callable[..., T],
        key: str,
        json_fields: Mapping[str, Callable[[Any], Any]],
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
        """The record of a row."""
        return self._make(
            **{field: self._read(field, row[column]) for field, column in self._columns.items()}
        )

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
        return packed(value) if field in self._json and value is not None else value

    def _read(self, field: str, value: Any) -> Any:
        if field in self._json and value is not None:
            return self._json[field](json.loads(value))
        return value


PROPOSALS = Table(
    "proposals", Proposal, "proposal_id",
    {"changes": _changes, "evidence": _same, "expected": _same, "risk_reasons": tuple},
)  # fmt: skip
TRIALS = Table("trials", Trial, "trial_id", {"figures": _same})
FINDINGS = Table("findings", Finding, "finding_id", {"data": _same, "runs": tuple})
LEARNERS = Table("learner_states", LearnerState, "learner", {"state": _same})
OBSERVATIONS = Table("observations", Observation, "observation_id", {})
EXAM = Table(
    "exam_questions", ExamQuestion, "question_id", {"check": _same}, {"check": "answer_check"}
)
AUDIT = Table("audit", AuditEntry, "seq", {"details": _same})

DECIDED: Mapping[str, Table[Any]] = {
    table.name: table for table in (PROPOSALS, TRIALS, FINDINGS, LEARNERS)
}
"""What a decision moves: each has a revision, and a number of its last change."""
