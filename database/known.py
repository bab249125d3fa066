"""Everything that is kept about a person: what forgetting them would empty or delete."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from database import rows
from database.forgetting import LEARNED, THEIR_RUNS, THEIRS
from database.learning import ExamQuestion, Finding, Proposal
from database.learning_rows import EXAM, FINDINGS, PROPOSALS
from database.records import (
    Document,
    Feedback,
    Message,
    Person,
    PolicyChange,
    Run,
    Summary,
    one_person,
)
from database.rows import Row

Kept = (
    Person | Run | Message | Summary | Feedback | Document | PolicyChange
    | ExamQuestion | Proposal | Finding
)  # fmt: skip

READ: Mapping[str, tuple[Callable[[Row], Kept], str]] = {
    "people": (rows.person_from, "user_id"),
    "messages": (rows.message_from, "ts, channel_id"),
    "summaries": (rows.summary_from, "until_ts, channel_id"),
    "feedback": (rows.feedback_from, "seq"),
    "documents": (rows.document_from, "kind, name, number"),
    "policy": (rows.policy_change_from, "seq"),
    "exam_questions": (EXAM.read, "seq"),
    "proposals": (PROPOSALS.read, "created_at, proposal_id"),
    "findings": (FINDINGS.read, "created_at, finding_id"),
}
"""How the rows of a table are read, and in which order; runs are read with their steps."""
_NAMED_BY = {table.name: (table.key,) for table in (EXAM, PROPOSALS, FINDINGS)}
"""Whose rows may be damaged."""


def everything_about(connection: sqlite3.Connection, workspace: str, user_id: str) -> list[Kept]:
    """Who they are, their runs with the steps, and so on, table by table, oldest first."""
    values = {"workspace": workspace, "user": user_id, "own": one_person(user_id)}
    connection.execute("BEGIN")
    connection.execute(THEIR_RUNS, values)

    def read(table: str, order: str) -> list[Row]:
        theirs = (THEIRS | LEARNED)[table]
        sql = f"SELECT * FROM {table} WHERE workspace = :workspace AND {theirs}"
        found: list[Row] = connection.execute(f"{sql} ORDER BY {order}", values).fetchall()
        return found

    steps = rows.steps_by_run(read("steps", "run_id, position"))
    runs = rows.runs_from(read("runs", "seq"), steps)
    rest = {table: read(table, order) for table, (_, order) in READ.items()}
    connection.execute("ROLLBACK")
    return together(runs, rest)


def together(runs: Sequence[Run], others: Mapping[str, Sequence[Row]]) -> list[Kept]:
    """The person, their runs, and then the rows of the other tables of READ, in its order."""
    rest = {
        table: rows.readable(others[table], make, *_NAMED_BY.get(table, ()))
        for table, (make, _) in READ.items()
    }
    return [*rest.pop("people"), *runs, *(kept for table in rest.values() for kept in table)]
