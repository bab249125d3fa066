"""What learning keeps in the local record: decisions in one transaction, and its facts.

Where there is no Supabase this is the record of it (a backend.Learning); otherwise its copy.
"""

import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from database import audit, improvement_counts, learning_window
from database.consent import REFUSALS, allowed
from database.forgetting import THEIR_RUNS
from database.learning import (
    Aspect,
    AuditEntry,
    AuditReport,
    Change,
    Decision,
    ExamPart,
    ExamQuestion,
    ImprovementCounts,
    LearnerState,
    LearningFact,
    Observation,
    WindowRows,
)
from database.learning_rows import (
    DECIDED,
    EXAM,
    LEARNERS,
    OBSERVATIONS,
    Table,
    document_of,
    moving,
    packed,
)
from database.records import PUBLIC, Document, RunKind, one_person
from database.refusals import beyond, gone, moved, stale, unknown
from database.rows import Row
from database.run_counts import DAY_SECONDS

if TYPE_CHECKING:
    from database.sqlite_backend import SqliteBackend

T = TypeVar("T")

_PAGE = 2000
_ADD_POLICY = "INSERT INTO policy (workspace, key, value, set_by, set_at) VALUES (?, ?, ?, ?, ?)"
_EXAM = f"""
    WITH {REFUSALS}
    SELECT exam_questions.* FROM exam_questions
    LEFT JOIN runs ON runs.workspace = exam_questions.workspace
        AND runs.run_id = exam_questions.run_id
    WHERE exam_questions.workspace = :workspace AND part = :part
        AND (:agent IS NULL OR exam_questions.agent = :agent)
        AND (:task_type IS NULL OR exam_questions.task_type = :task_type)
        AND coalesce(exam_questions.user_id, '') NOT IN (SELECT user_id FROM unlearned)
        AND {allowed("runs.")}
    ORDER BY exam_questions.created_at DESC, exam_questions.question_id LIMIT :limit"""


class SqliteLearning:
    """Learning's part of one workspace's local record."""

    def __init__(self, local: "SqliteBackend") -> None:
        self._local = local
        self._workspace = local.workspace

    # Decisions

    async def decide(self, decision: Decision) -> list[Document]:
        """All of it or nothing; the documents as they are now."""
        return self.decide_now(decision)

    async def decide_here(self, decision: Decision) -> list[Document]:
        """The same: there is nowhere else."""
        return self.decide_now(decision)

    def decide_now(self, decision: Decision) -> list[Document]:
        """All of it or nothing, in one transaction."""
        with self._local.file.transaction() as connection:
            documents = self._decide(connection, decision)
            audit.append(connection, self._workspace, audit.entries_of(decision))
        return documents

    def decide_waiting(self, decision: Decision, sent: Mapping[str, Any]) -> list[Document]:
        """All of it or nothing, here; what is to be sent waits, and its audit entries with it."""
        wait = "INSERT INTO waiting_decisions (workspace, decision) VALUES (?, ?)"
        with self._local.file.transaction() as connection:
            documents = self._decide(connection, decision)
            connection.execute(wait, (self._workspace, packed(sent)))
        return documents

    def _decide(self, connection: sqlite3.Connection, decision: Decision) -> list[Document]:
        self._check(decision)
        documents = [
            made
            for change in decision.changes
            if (made := self._apply(connection, change, decision)) is not None
        ]
        number = self._note_changed(connection)
        for table, records in moving(decision):
            connection.executemany(
                table.upsert("change"),
                [(*table.values(self._workspace, record), number) for record in records],
            )
        for wanted in decision.policy:
            at = wanted.set_at or time.time()
            values = (self._workspace, wanted.key, wanted.value, wanted.set_by, at)
            connection.execute(_ADD_POLICY, values)
        return documents

    def _check(self, decision: Decision) -> None:
        """Whether nobody moved a record meanwhile. Raises StaleRevision."""
        for table, records in moving(decision):
            for record in records:
                key = getattr(record, table.key)
                if self.revision(table, key) != record.revision - 1:
                    raise moved(table.name, key)

    def _note_changed(self, connection: sqlite3.Connection) -> int:
        sql = """INSERT INTO learning_changes VALUES (?, 1)
            ON CONFLICT DO UPDATE SET changes = changes + 1 RETURNING changes"""
        (number,) = connection.execute(sql, (self._workspace,)).fetchone()
        return int(number)

    def _apply(
        self, connection: sqlite3.Connection, change: Change, decision: Decision
    ) -> Document | None:
        made = document_of(change, decision, time.time())
        current = self._local.document(change.kind, change.name)
        self._check_base(made, current, change)
        if change.body is None:
            self._local.retire(connection, change.kind, change.name)
            return None
        audience = change.audience if current is None else current["audience"]
        return self._local.save_version(connection, replace(made, audience=audience))

    def _check_base(self, made: Document, current: Row | None, change: Change) -> None:
        if current is None and change.base is not None:
            known = self._local.history(change.kind, change.name)
            raise gone(made) if known else unknown(made)
        if current is None:
            if change.body is None:
                raise unknown(made)
            return
        if current["version"] != change.base:
            raise stale(made, current["number"])
        if change.audience not in (PUBLIC, current["audience"]):
            raise beyond(made)

    # What was decided

    def read(self, table: Table[T], where: str, values: Sequence[Any]) -> list[T]:
        """The records of a table that a condition, an order and a limit name."""
        sql = f"SELECT * FROM {table.name} WHERE workspace = ? {where}"
        return table.read_all(self._local.file.rows(sql, (self._workspace, *values)))

    def revision(self, table: Table[Any], key: str) -> int:
        """How often a record has moved, also a damaged one; 0: there is none."""
        sql = f"SELECT revision FROM {table.name} WHERE workspace = ? AND {table.key} = ?"
        found = self._local.file.row(sql, (self._workspace, key))
        return int(found["revision"]) if found else 0

    def learner_state(self, name: str) -> LearnerState:
        """What a learner remembers; one whose state cannot be read begins anew."""
        sql = "SELECT * FROM learner_states WHERE workspace = ? AND learner = ?"
        row = self._local.file.row(sql, (self._workspace, name))
        if row is None:
            return LearnerState(name)
        # Its revision is that of the row: what it learns next is written over what is damaged.
        return LEARNERS.read_or_none(row) or LearnerState(name, revision=row["revision"])

    def changes(self) -> int:
        """A number that grows with each decision."""
        sql = "SELECT changes FROM learning_changes WHERE workspace = ?"
        found = self._local.file.row(sql, (self._workspace,))
        return found["changes"] if found else 0

    # The copy of what was decided at Supabase

    def take(self, table: str, found: Sequence[Mapping[str, Any]]) -> None:
        """Make these the records of their keys."""
        known = DECIDED[table]
        columns = (*known.columns, "change")
        differs = " OR ".join(f"{table}.{column} IS NOT excluded.{column}" for column in columns)
        sql = f"{known.upsert('change')} WHERE {differs}"
        with self._local.file.transaction() as connection:
            values = [[row[column] for column in columns] for row in found]
            if connection.executemany(sql, values).rowcount:
                self._note_changed(connection)

    def keep_learners(self, names: Collection[str]) -> None:
        """Of what learners remember, keep only that of these."""
        sql = """DELETE FROM learner_states WHERE workspace = ?
            AND learner NOT IN (SELECT value FROM json_each(?))"""
        with self._local.file.transaction() as connection:
            connection.execute(sql, (self._workspace, packed(sorted(names))))

    def waiting(self) -> list[tuple[int, str]]:
        """What was decided here while Supabase was away, oldest first."""
        sql = "SELECT seq, decision FROM waiting_decisions WHERE workspace = ? ORDER BY seq"
        found = self._local.file.rows(sql, (self._workspace,))
        return [(row["seq"], row["decision"]) for row in found]

    def not_waiting(self, seq: int) -> None:
        """It has arrived."""
        with self._local.file.transaction() as connection:
            connection.execute("DELETE FROM waiting_decisions WHERE seq = ?", (seq,))

    def runs_on_their_way(self, user_id: str) -> list[str]:
        """Runs of a person, and of what these made, that Supabase does not have yet."""

        def find(connection: sqlite3.Connection) -> list[str]:
            values = {"workspace": self._workspace, "user": user_id, "own": one_person(user_id)}
            connection.execute(THEIR_RUNS, values)
            sql = """SELECT run_id FROM temp.their_runs JOIN outbox
                ON outbox.workspace = :workspace AND outbox."table" = 'runs'
                AND outbox.key = json_array(run_id)"""
            return [row["run_id"] for row in connection.execute(sql, values)]

        return self._local.file.on_own_connection(find)

    def raw(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table as it is."""
        sql = f"SELECT * FROM {table} WHERE workspace = ?"
        return [dict(row) for row in self._local.file.rows(sql, (self._workspace,))]

    def audit_behind(self, digest: str) -> list[dict[str, Any]]:
        """The entries behind that of a digest as they are; none where it is not here."""
        sql = """SELECT * FROM audit WHERE workspace = ?1 AND seq > coalesce(
                (SELECT seq FROM audit WHERE workspace = ?1 AND digest = ?2),
                CASE ?2 WHEN '' THEN 0 ELSE 9e15 END
            ) ORDER BY seq"""
        return [dict(row) for row in self._local.file.rows(sql, (self._workspace, digest))]

    # Facts

    def add(self, connection: sqlite3.Connection, fact: LearningFact) -> int:
        """Add a fact; 1 where it was new."""
        table: Table[Any] = OBSERVATIONS if isinstance(fact, Observation) else EXAM
        return connection.execute(table.insert(), table.values(self._workspace, fact)).rowcount

    async def observations(self, trial_id: str, aspect: Aspect | None) -> list[Observation]:
        """In the order in which they were recorded."""
        one = "AND aspect = ?" if aspect else ""
        values = (trial_id, aspect) if aspect else (trial_id,)
        return self.read(OBSERVATIONS, f"AND trial_id = ? {one} ORDER BY seq", values)

    async def exam(
        self, part: ExamPart, agent: str | None, task_type: str | None, limit: int
    ) -> list[ExamQuestion]:
        """Newest first, of those who may be learned from."""
        values = {
            "workspace": self._workspace,
            "part": part,
            "agent": agent,
            "task_type": task_type,
            "limit": limit,
        }

        def find(connection: sqlite3.Connection) -> list[ExamQuestion]:
            return EXAM.read_all(connection.execute(_EXAM, values))

        return await self._local.file.aside(find)

    async def window(
        self, runs_seen: int, feedback_seen: int, kinds: Sequence[RunKind], limit: int
    ) -> WindowRows:
        """What is new since two watermarks."""
        return await learning_window.window(
            self._local.file, self._workspace, runs_seen, feedback_seen, kinds, limit
        )

    async def counts(self, since: float, until: float) -> list[ImprovementCounts]:
        """What learning did, by day and agent."""
        return await self._local.file.aside(
            lambda connection: improvement_counts.counts(
                connection, self._workspace, *days_between(since, until)
            )
        )

    # The audit log

    async def audit(self, since: int, limit: int) -> list[AuditEntry]:
        """The entries behind a place, oldest first."""

        def find(connection: sqlite3.Connection) -> list[AuditEntry]:
            return audit.shown(self._page(connection, since, limit), self._people(connection))

        return await self._local.file.aside(find)

    async def audit_verify(self) -> AuditReport:
        """Check every entry, in the order in which they were made."""

        def check(connection: sqlite3.Connection) -> AuditReport:
            connection.execute("BEGIN")
            checked, at = audit.Verification(), 0
            checked.know(self._people(connection))
            while page := self._page(connection, at, _PAGE):
                at = checked.look(page)
            sql = "SELECT seq, digest FROM audit_heads WHERE workspace = ?"
            head = connection.execute(sql, (self._workspace,)).fetchone()
            connection.execute("ROLLBACK")
            return checked.report(head)

        return await self._local.file.aside(check)

    def _people(self, connection: sqlite3.Connection) -> list[Row]:
        sql = "SELECT user_id, salt, digest FROM audit_people WHERE workspace = ?"
        return connection.execute(sql, (self._workspace,)).fetchall()

    def _page(self, connection: sqlite3.Connection, since: int, limit: int) -> list[Row]:
        sql = "SELECT * FROM audit WHERE workspace = ? AND seq > ? ORDER BY seq LIMIT ?"
        return connection.execute(sql, (self._workspace, since, limit)).fetchall()


def days_between(since: float, until: float) -> tuple[int, int]:
    """The first and the last day that two moments lie in."""
    return int(since // DAY_SECONDS), int(-(-until // DAY_SECONDS)) - 1
