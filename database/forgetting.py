"""What becomes of each text when a person asks to be forgotten, or when it grows old."""

import hashlib
import re
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from database.learning import ExamQuestion, LearningFact
from database.records import Fact, Feedback, ForgetReport, Message, Run, one_person
from database.sqlite_file import SqliteFile, wipe
from database.unlearning import purge_learned, unlearn

FORGOTTEN = "[forgotten]"


class ForgetRule(StrEnum):
    """What a text column holds, and so what forgetting a person does to it."""

    KEEP = "our own ids, names and labels: stays"
    PERSON = "a person's id: emptied in their rows"
    PLACE = "where they said something: emptied in their rows"
    WORDS = "words: emptied in their rows; in others' words their id is replaced"
    LABEL = "may carry their id (who may read): the id is replaced"
    WORK = "made for the team: emptied where only they could read it or it replays their words"
    LEARNED = "learned: emptied where it rests on their runs; their id is replaced elsewhere"
    NAME = "the name of an event, which may carry their id: a digest takes its place"
    ROW = "part of a row that is deleted when it is theirs; their id is replaced in others' rows"
    PASSING = "encrypted or short-lived: deleted when its work is done, and where it names them"


_R = ForgetRule

FORGET_RULES: Mapping[str, Mapping[str, ForgetRule]] = {
    "runs": {
        "workspace": _R.KEEP, "run_id": _R.KEEP, "parent_run_id": _R.KEEP, "kind": _R.KEEP,
        "agent": _R.KEEP, "agent_version": _R.KEEP, "model": _R.KEEP, "task_type": _R.KEEP,
        "outcome_source": _R.KEEP, "audience": _R.LABEL, "user_id": _R.PERSON,
        "channel_id": _R.PLACE, "thread_ts": _R.PLACE, "message_ts": _R.PLACE,
        "reply_ts": _R.PLACE, "request": _R.WORDS, "reply": _R.WORDS, "error": _R.WORDS,
        "route": _R.WORDS,
    },
    "steps": {
        "workspace": _R.KEEP, "run_id": _R.KEEP, "kind": _R.KEEP, "name": _R.KEEP,
        "arguments": _R.WORDS, "error": _R.WORDS,
    },
    "feedback": {
        "workspace": _R.KEEP, "feedback_id": _R.NAME, "run_id": _R.KEEP, "kind": _R.KEEP,
        "text": _R.WORDS, "user_id": _R.PERSON,
    },
    "messages": {
        "workspace": _R.KEEP, "channel_id": _R.KEEP, "ts": _R.KEEP, "thread_ts": _R.KEEP,
        "role": _R.KEEP, "audience": _R.LABEL, "text": _R.ROW, "user_id": _R.ROW,
        "run_id": _R.KEEP,
    },
    "summaries": {
        "workspace": _R.KEEP, "channel_id": _R.KEEP, "thread_ts": _R.KEEP, "until_ts": _R.KEEP,
        "audience": _R.LABEL, "text": _R.ROW,
    },
    "documents": {
        "workspace": _R.KEEP, "kind": _R.KEEP, "name": _R.KEEP, "version": _R.KEEP,
        "audience": _R.LABEL, "body": _R.WORK, "base": _R.KEEP, "origin": _R.KEEP,
        "author": _R.PERSON, "reason": _R.WORDS,
    },
    "document_changes": {"workspace": _R.KEEP},
    "people": {
        "workspace": _R.KEEP, "user_id": _R.ROW, "name": _R.ROW, "settings": _R.ROW,
    },
    "policy": {
        "workspace": _R.KEEP, "key": _R.LABEL, "value": _R.LABEL, "set_by": _R.PERSON,
    },
    "task_types": {"workspace": _R.KEEP, "name": _R.KEEP, "centroid": _R.KEEP},
    "learning_changes": {"workspace": _R.KEEP},
    "proposals": {
        "workspace": _R.KEEP, "proposal_id": _R.KEEP, "learner": _R.LABEL, "title": _R.LEARNED,
        "why": _R.LEARNED, "changes": _R.LEARNED, "evidence": _R.LEARNED, "expected": _R.KEEP,
        "task_type": _R.KEEP, "audience": _R.LABEL, "state": _R.KEEP, "risk": _R.KEEP,
        "risk_reasons": _R.LEARNED, "reason": _R.LEARNED, "decided_by": _R.LABEL,
    },
    "proposal_moves": {
        "workspace": _R.KEEP, "proposal_id": _R.KEEP, "state": _R.KEEP, "agent": _R.KEEP,
    },
    "trials": {
        "workspace": _R.KEEP, "trial_id": _R.KEEP, "proposal_id": _R.KEEP, "method": _R.KEEP,
        "agent": _R.KEEP, "active": _R.KEEP, "candidate": _R.KEEP, "task_type": _R.KEEP,
        "state": _R.KEEP, "figures": _R.KEEP, "reason": _R.KEEP,
    },
    "findings": {
        "workspace": _R.KEEP, "finding_id": _R.KEEP, "learner": _R.LABEL, "kind": _R.KEEP,
        "title": _R.LEARNED, "text": _R.LEARNED, "data": _R.LEARNED, "runs": _R.KEEP,
        "strength": _R.KEEP, "audience": _R.LABEL, "state": _R.KEEP, "decided_by": _R.LABEL,
    },
    "learner_states": {"workspace": _R.KEEP, "learner": _R.KEEP, "state": _R.LEARNED},
    "observations": {
        "workspace": _R.KEEP, "observation_id": _R.KEEP, "trial_id": _R.KEEP, "run_id": _R.KEEP,
        "aspect": _R.KEEP, "other_run_id": _R.KEEP, "served": _R.KEEP, "source": _R.KEEP,
    },
    "exam_questions": {
        "workspace": _R.KEEP, "question_id": _R.KEEP, "run_id": _R.KEEP, "request": _R.ROW,
        "answer_check": _R.ROW, "agent": _R.KEEP, "part": _R.KEEP, "task_type": _R.KEEP,
        "user_id": _R.ROW, "audience": _R.LABEL,
    },
    "audit": {
        "workspace": _R.KEEP, "actor": _R.KEEP, "action": _R.KEEP, "subject": _R.KEEP,
        "details": _R.KEEP, "previous": _R.KEEP, "digest": _R.KEEP,
    },
    "audit_heads": {"workspace": _R.KEEP, "digest": _R.KEEP},
    "audit_people": {
        "workspace": _R.KEEP, "user_id": _R.ROW, "salt": _R.ROW, "digest": _R.ROW,
    },
    "waiting_decisions": {"workspace": _R.KEEP, "decision": _R.LABEL},
    "day_counts": {
        "workspace": _R.KEEP, "kind": _R.KEEP, "audience": _R.ROW, "agent": _R.KEEP,
        "durations": _R.KEEP,
    },
    "changed_days": {"workspace": _R.KEEP},
    "trimmed_days": {"workspace": _R.KEEP},
    "forgotten": {"workspace": _R.KEEP, "salt": _R.PASSING, "digest": _R.PASSING},
    "outbox": {
        "workspace": _R.KEEP, "table": _R.KEEP, "key": _R.PASSING, "problem": _R.PASSING,
    },
    "outbox_on": {"workspace": _R.KEEP, "backfill": _R.PASSING, "problem": _R.PASSING},
    "schema_migrations": {"name": _R.KEEP},
    "inbox": {
        "workspace": _R.KEEP, "event_key": _R.PASSING, "thread_key": _R.PASSING,
        "payload": _R.PASSING,
    },
    "sends": {
        "workspace": _R.KEEP, "run_id": _R.KEEP, "state": _R.KEEP, "ts": _R.PASSING,
        "body": _R.PASSING,
    },
    "kept_posts": {
        "workspace": _R.KEEP, "post_id": _R.PASSING, "channel_id": _R.PASSING, "ts": _R.PASSING,
        "shown": _R.PASSING,
    },
    "outgoing": {
        "workspace": _R.KEEP, "post_id": _R.PASSING, "channel_id": _R.PASSING,
        "body": _R.PASSING, "state": _R.KEEP, "ts": _R.PASSING,
    },
    "claims": {"workspace": _R.KEEP, "name": _R.PASSING},
    "installations": {"holder": _R.KEEP, "sealed": _R.PASSING},  # by InstallationRows.forget
    "served": {"workspace": _R.KEEP, "holder": _R.KEEP},
    "departures": {"holder": _R.KEEP},
}  # fmt: skip

_EMPTIED = (_R.PERSON, _R.PLACE, _R.WORDS)
_SCRUBBED = (_R.LABEL, _R.WORDS, _R.WORK, _R.ROW, _R.LEARNED, _R.NAME)

# Runs made by a run (a shadow, a goal's task) repeat its words.
THEIR_RUNS = """CREATE TEMP TABLE their_runs AS
    WITH RECURSIVE theirs (run_id) AS (
        SELECT run_id FROM runs
        WHERE workspace = :workspace AND (user_id = :user OR audience = :own)
        UNION
        SELECT runs.run_id FROM runs JOIN theirs ON runs.parent_run_id = theirs.run_id
        WHERE runs.workspace = :workspace
    ) SELECT run_id FROM theirs"""

_IN_THEIR_RUNS = "run_id IN (SELECT run_id FROM temp.their_runs)"
THEIRS = {
    "runs": _IN_THEIR_RUNS,
    "steps": _IN_THEIR_RUNS,
    "feedback": "user_id = :user",
    "documents": "(author = :user OR audience = :own)",
    "summaries": """(audience = :own OR (channel_id, thread_ts) IN (
        SELECT channel_id, thread_ts FROM messages WHERE workspace = :workspace
        AND (user_id = :user OR audience = :own OR run_id IN (SELECT run_id FROM temp.their_runs))
    ))""",
    "messages": f"(user_id = :user OR audience = :own OR {_IN_THEIR_RUNS})",
    "people": "user_id = :user",
    "policy": "set_by = :user",
    "day_counts": "audience = :own",
    "exam_questions": f"(user_id = :user OR audience = :own OR {_IN_THEIR_RUNS})",
    "audit_people": "user_id = :user",
}
"""Which rows are theirs. In this order: what is asked about others must still be there."""

LEARNED = {
    "proposals": "(learner = :user OR decided_by = :user OR audience = :own)",
    "findings": "(decided_by = :user OR audience = :own)",
    "learner_states": "0",
    "waiting_decisions": "0",
}
"""What was learned or decided by them or for them alone; `unlearning` does the rest."""

_RETIRE = """UPDATE documents SET body = NULL, active = 0 WHERE workspace = :workspace
    AND (audience = :own OR (author = :user AND kind = 'runbook')) AND body IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """That somebody was forgotten: a salted digest of who, and when (seconds since the epoch)."""

    salt: bytes
    digest: bytes
    at: float

    def is_of(self, user_id: str) -> bool:
        """Whether it was this person."""
        return self.digest == digest_of(self.salt, user_id)


def forget(
    file: SqliteFile, workspace: str, user_id: str, noted: Sequence[Forgotten] = ()
) -> ForgetReport:
    """Apply the rules in one transaction, then leave no byte in the file. Takes seconds.

    What stays of it is `noted`, where it was noted elsewhere already, or else a note of its own.
    """
    notes = noted or (_note_of(user_id),)
    return file.on_own_connection(lambda connection: _forget(connection, workspace, user_id, notes))


def _forget(
    connection: sqlite3.Connection, workspace: str, user_id: str, notes: Sequence[Forgotten]
) -> ForgetReport:
    values = {"workspace": workspace, "user": user_id, "own": one_person(user_id)}
    whole_id = whole(user_id)
    connection.create_function("scrub", 1, lambda text: whole_id.sub(FORGOTTEN, text))
    connection.create_function("nameless", 1, lambda name: _nameless(name, user_id))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(THEIR_RUNS, values)
    retired = connection.execute(_RETIRE, values).rowcount
    if retired:
        connection.execute(
            "UPDATE document_changes SET changes = changes + 1 WHERE workspace = :workspace", values
        )
    learned = unlearn(connection, values)
    rows = {
        table: connection.execute(_change(connection, table, theirs), values).rowcount
        for table, theirs in THEIRS.items()
    }
    for table, count in learned.items():
        rows[table] = rows.get(table, 0) + count
    for sql in _scrubs():
        connection.execute(sql, values)
    note_forgotten(connection, workspace, notes)
    connection.execute("INSERT INTO message_words (message_words) VALUES ('rebuild')")
    connection.execute(
        "UPDATE search_progress SET seq = (SELECT coalesce(max(seq), 0) FROM messages)"
    )
    connection.execute("COMMIT")
    connection.execute("DROP TABLE temp.their_runs")
    wipe(connection)
    return ForgetReport(user_id, rows)


UNDER_WAY_SECONDS = 2 * 86_400.0
"""So long may what is under way be recorded late: an answer that was kept is for a day."""


def note_forgotten(
    connection: sqlite3.Connection, workspace: str, notes: Iterable[Forgotten]
) -> None:
    """Keep who was forgotten, within a transaction."""
    sql = """INSERT INTO forgotten (workspace, salt, digest, forgotten_at) VALUES (?, ?, ?, ?)
        ON CONFLICT DO NOTHING"""
    connection.executemany(sql, [(workspace, note.salt, note.digest, note.at) for note in notes])


def _note_of(user_id: str) -> Forgotten:
    salt = secrets.token_bytes(16)
    return Forgotten(salt, digest_of(salt, user_id), time.time())


def digest_of(salt: bytes, user_id: str) -> bytes:
    """What is kept of who was forgotten; Postgres has SHA-256 too."""
    return hashlib.sha256(salt.hex().encode() + user_id.encode()).digest()


def whole(user_id: str) -> re.Pattern[str]:
    """Finds an id where it is not part of a longer one."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(user_id)}(?![A-Za-z0-9])")


def _nameless(name: str, user_id: str) -> str:
    """The name of an event, which stays unique where somebody's id is taken out of it."""
    if not whole(user_id).search(name):
        return name
    return f"{FORGOTTEN}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def without_forgotten(
    connection: sqlite3.Connection, workspace: str, facts: Sequence[Fact | LearningFact]
) -> Sequence[Fact | LearningFact]:
    """The facts, without those who were forgotten after these had begun.

    Costs one look at a table that is nearly always empty.
    """
    sql = "SELECT * FROM forgotten WHERE workspace = ? AND forgotten_at > ?"
    forgotten = connection.execute(sql, (workspace, time.time() - UNDER_WAY_SECONDS)).fetchall()
    if not forgotten:
        return facts

    late = _Late(connection, workspace, forgotten)
    theirs = {fact.run_id for fact in facts if isinstance(fact, Run) and late.before(fact)}
    kept = (late.without(fact, theirs) for fact in facts)
    return [fact for fact in kept if fact is not None]


@dataclass(frozen=True, slots=True)
class _Late:
    """Who was forgotten lately, and what that leaves of a fact."""

    connection: sqlite3.Connection
    workspace: str
    rows: Sequence[sqlite3.Row]

    def before(self, run: Run) -> bool:
        """Whether a run began before its person was forgotten."""
        return (run.started_at or 0.0) < self._when(run.user_id)

    def without(
        self, fact: Fact | LearningFact, theirs: Collection[str]
    ) -> Fact | LearningFact | None:
        """The fact, less what names somebody forgotten; `theirs` are the runs that did."""
        match fact:
            case Run() if fact.run_id in theirs:
                return _nobodys(fact)
            case Message() if fact.run_id in theirs or fact.created_at < self._when(fact.user_id):
                return None
            case Feedback() if self._begun(fact.run_id) < self._when(fact.user_id):
                name = _nameless(fact.feedback_id, fact.user_id or "")
                return replace(fact, feedback_id=name, user_id=None, text=None)
            case ExamQuestion() if fact.run_id in theirs or self._begun(fact.run_id) < self._when(
                fact.user_id
            ):
                return None
            case _:
                return fact

    def _when(self, user_id: str | None) -> float:
        mine = [r["forgotten_at"] for r in self.rows
                if user_id and r["digest"] == digest_of(r["salt"], user_id)]  # fmt: skip
        return max(mine, default=0.0)

    def _begun(self, run_id: str) -> float:
        sql = "SELECT started_at FROM runs WHERE workspace = ? AND run_id = ?"
        row = self.connection.execute(sql, (self.workspace, run_id)).fetchone()
        return (row["started_at"] or 0.0) if row else 0.0


def _nobodys(run: Run) -> Run:
    """What forgetting leaves of a run."""
    emptied = [name for name, rule in FORGET_RULES["runs"].items() if rule in _EMPTIED]
    audience = run.audience.replace(run.user_id or " ", FORGOTTEN)
    changes: dict[str, Any] = {**dict.fromkeys(emptied), "request": "", "audience": audience}
    return replace(
        run, steps=tuple(replace(s, arguments=None, error=None) for s in run.steps), **changes
    )


def _change(connection: sqlite3.Connection, table: str, theirs: str) -> str:
    """Delete their rows of a table, or empty the columns that the rules name."""
    where = f"WHERE workspace = :workspace AND {theirs}"
    rules = FORGET_RULES[table]
    if _R.ROW in rules.values():
        return f"DELETE FROM {table} {where}"
    emptied = [column for column, rule in rules.items() if rule in _EMPTIED]
    return f"UPDATE {table} SET {_emptying(connection, table, emptied)} {where}"


def _emptying(connection: sqlite3.Connection, table: str, columns: list[str]) -> str:
    required = {
        row["name"] for row in connection.execute(f"PRAGMA table_info({table})") if row["notnull"]
    }
    return ", ".join(f"{name} = {repr('') if name in required else 'NULL'}" for name in columns)


def _scrubs() -> list[str]:
    """Their id goes from other people's rows too."""
    how = {_R.NAME: "nameless"}
    return [
        f"UPDATE {table} SET {column} = {how.get(rule, 'scrub')}({column}) "
        f"WHERE workspace = :workspace AND instr({column}, :user)"
        for table in (*THEIRS, *LEARNED)
        for column, rule in FORGET_RULES[table].items()
        if rule in _SCRUBBED
    ]


_BATCH = 500


def purge(file: SqliteFile, workspace: str, before: float) -> Mapping[str, int]:
    """Empty the words of runs and feedback from before a moment, and delete messages and summaries.

    In small transactions, so that nobody waits; numbers and ids stay. Returns rows by table.
    """
    return file.on_own_connection(lambda connection: _purge(connection, workspace, before))


def _purge(connection: sqlite3.Connection, workspace: str, before: float) -> Mapping[str, int]:
    values = {"workspace": workspace, "before": before, "limit": _BATCH}
    deleted = {
        table: _repeat(connection, _delete_old(table), values)
        for table in ("messages", "summaries")
    }
    emptied = _purge_runs(connection, workspace, before)
    text = """UPDATE feedback SET text = NULL WHERE seq IN (SELECT seq FROM feedback
        WHERE workspace = :workspace AND created_at < :before AND text IS NOT NULL LIMIT :limit)"""
    feedback = _repeat(connection, text, values)
    connection.execute("INSERT INTO message_words (message_words) VALUES ('optimize')")
    return {
        **deleted, "runs": emptied, "feedback": feedback, **purge_learned(connection, values),
    }  # fmt: skip


def _delete_old(table: str) -> str:
    at = {"messages": "ts", "summaries": "until_ts"}[table]
    return f"""DELETE FROM {table} WHERE workspace = :workspace AND rowid IN (
        SELECT rowid FROM {table} WHERE workspace = :workspace
        AND CAST({at} AS REAL) < :before AND created_at < :before LIMIT :limit)"""


def _repeat(connection: sqlite3.Connection, sql: str, values: Mapping[str, object]) -> int:
    total = 0
    while count := connection.execute(sql, values).rowcount:
        total += count
    return total


def _purge_runs(connection: sqlite3.Connection, workspace: str, before: float) -> int:
    """Once through the runs, by the order in which they came."""
    sql = """SELECT seq, run_id FROM runs WHERE workspace = ? AND seq > ? AND started_at < ?
        AND (request <> '' OR reply IS NOT NULL) ORDER BY seq LIMIT ?"""
    seq, total = 0, 0
    while old := connection.execute(sql, (workspace, seq, before, _BATCH)).fetchall():
        connection.execute("BEGIN IMMEDIATE")
        empty_runs(connection, workspace, [row["run_id"] for row in old])
        connection.execute("COMMIT")
        seq, total = old[-1]["seq"], total + len(old)
    return total


def empty_runs(connection: sqlite3.Connection, workspace: str, run_ids: Sequence[str]) -> None:
    """Empty the words of these runs and of their steps; numbers, ids and places stay."""
    for table in ("runs", "steps"):
        words = [name for name, rule in FORGET_RULES[table].items() if rule is _R.WORDS]
        empty = _emptying(connection, table, words)
        change = f"UPDATE {table} SET {empty} WHERE workspace = ? AND run_id = ?"
        connection.executemany(change, [(workspace, run_id) for run_id in run_ids])
