"""The engine database's tables, and the steps that bring them to what the code expects.

No text of anybody is in them unsealed: `person` and `place` are keyed digests, bodies are
encrypted. Money is in millionths of a dollar, so that sums are exact.
"""

from collections.abc import Mapping

from database.errors import MigrationError
from database.forgetting import ForgetRule
from goals.sql import SCHEMA, Transaction

_LOCK = 0x56360003
"""Postgres's advisory lock under which steps are made; any number of ours."""

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE facts (name TEXT NOT NULL PRIMARY KEY, number {int}, sealed {bytes});
    INSERT INTO facts (name, number) VALUES ('moves', 0);
    CREATE TABLE goals (
        workspace TEXT NOT NULL, goal_id TEXT NOT NULL, revision {int} NOT NULL,
        state TEXT NOT NULL, person TEXT NOT NULL, place TEXT NOT NULL,
        created_at {real} NOT NULL, ended_at {real}, moved {int} NOT NULL,
        spent_usd {int} NOT NULL, spent_tokens {int} NOT NULL, body {bytes} NOT NULL,
        PRIMARY KEY (workspace, goal_id)
    );
    CREATE INDEX goals_moved ON goals (workspace, moved);
    CREATE INDEX goals_person ON goals (workspace, person, created_at);
    CREATE INDEX goals_place ON goals (workspace, place, created_at);
    CREATE TABLE attempts (
        workspace TEXT NOT NULL, goal_id TEXT NOT NULL, key TEXT NOT NULL,
        attempt {int} NOT NULL, state TEXT NOT NULL, person TEXT NOT NULL, day {int} NOT NULL,
        held_usd {int} NOT NULL, held_tokens {int} NOT NULL, since {real} NOT NULL,
        fence {int} NOT NULL, worker TEXT,
        PRIMARY KEY (workspace, goal_id, key, attempt)
    );
    CREATE INDEX attempts_since ON attempts (since);
    CREATE TABLE days (
        workspace TEXT NOT NULL, person TEXT NOT NULL, day {int} NOT NULL,
        held_usd {int} NOT NULL, held_tokens {int} NOT NULL,
        spent_usd {int} NOT NULL, spent_tokens {int} NOT NULL,
        PRIMARY KEY (workspace, person, day)
    );
    CREATE TABLE journal (
        workspace TEXT NOT NULL, goal_id TEXT NOT NULL, key TEXT NOT NULL,
        attempt {int} NOT NULL, position TEXT NOT NULL, kind TEXT NOT NULL,
        number {int} NOT NULL, body {bytes} NOT NULL,
        PRIMARY KEY (workspace, goal_id, key, attempt, position)
    );
    CREATE TABLE workers (
        worker TEXT NOT NULL PRIMARY KEY, started_at {real} NOT NULL, seen_at {real} NOT NULL,
        slots {int} NOT NULL, running {int} NOT NULL
    );
    CREATE TABLE leases (
        name TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, until {real} NOT NULL
    );
    CREATE TABLE buckets (
        name TEXT NOT NULL PRIMARY KEY, level {real} NOT NULL, seen_at {real} NOT NULL
    );
    """,
)

_R = ForgetRule
FORGET_RULES: Mapping[str, Mapping[str, ForgetRule]] = {
    "facts": {"name": _R.KEEP, "sealed": _R.KEEP},
    "goals": {
        "workspace": _R.KEEP, "goal_id": _R.KEEP, "state": _R.KEEP, "person": _R.ROW,
        "place": _R.ROW, "body": _R.ROW,
    },
    "attempts": {
        "workspace": _R.KEEP, "goal_id": _R.KEEP, "key": _R.KEEP, "state": _R.KEEP,
        "person": _R.ROW, "worker": _R.KEEP,
    },
    "days": {"workspace": _R.KEEP, "person": _R.ROW},
    "journal": {
        "workspace": _R.KEEP, "goal_id": _R.KEEP, "key": _R.KEEP, "position": _R.KEEP,
        "kind": _R.KEEP, "body": _R.ROW,
    },
    "workers": {"worker": _R.KEEP},
    "leases": {"name": _R.KEEP, "holder": _R.KEEP},
    "buckets": {"name": _R.KEEP},
}  # fmt: skip
"""What forgetting somebody does to each text (a test insists); see goals.ledger."""

_TYPES = {
    False: {"int": "INTEGER", "real": "REAL", "bytes": "BLOB"},
    True: {"int": "BIGINT", "real": "DOUBLE PRECISION", "bytes": "BYTEA"},
}


def prepare(transaction: Transaction) -> None:
    """Make what is missing, one process at a time. Raises MigrationError for newer tables."""
    if transaction.postgres:
        transaction.rows("SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)
        transaction.script(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    transaction.script("CREATE TABLE IF NOT EXISTS steps (number INTEGER NOT NULL PRIMARY KEY)")
    had = transaction.row("SELECT coalesce(max(number), 0) FROM steps")
    assert had is not None
    if had[0] > len(STEPS):
        raise MigrationError(
            "The goals' database was written by a newer version of this program. Update the "
            "program here; nothing was changed."
        )
    for number, step in enumerate(STEPS[had[0] :], start=had[0] + 1):
        transaction.script(step.format(**_TYPES[transaction.postgres]))
        transaction.change("INSERT INTO steps (number) VALUES (:number)", number=number)


def next_move(transaction: Transaction) -> int:
    """Number of a move, for `changed`.

    Postgres's transaction ids: what one of them wrote may be seen later than what a higher one
    wrote, but never after it has become the oldest that runs.
    """
    if transaction.postgres:
        row = transaction.row("SELECT pg_current_xact_id()::text::bigint")
    else:
        row = transaction.row(
            "UPDATE facts SET number = number + 1 WHERE name = 'moves' RETURNING number"
        )
    assert row is not None
    return int(row[0])


def cursor(transaction: Transaction) -> int:
    """The lowest number that a move may have which cannot be seen yet."""
    if transaction.postgres:
        row = transaction.row("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    else:
        row = transaction.row("SELECT number + 1 FROM facts WHERE name = 'moves'")
    assert row is not None
    return int(row[0])
