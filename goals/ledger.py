"""Where goals are kept while they run: every move of one is a compare-and-set by its revision.

Beside a goal's row stand, in the same transaction, the attempts at its tasks that are queued or
running and what its person has used today. Texts are sealed, whose they are is a keyed digest. The
journal keeps what an attempt has done, so that after a crash nothing is asked or done again.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import orjson
from cryptography.fernet import Fernet, InvalidToken

from database.engine import fernet_of, home_key
from database.errors import ConfigurationError, StaleRevision, UnknownName
from database.goals import ENDED_GOAL, NOTHING, Goal, GoalState
from goals import budgets, goal_rows, leaving, tables
from goals.budgets import DayLimit, DayUse, Owner
from goals.ports import JournalEntry
from goals.sql import Sql, Transaction

if TYPE_CHECKING:
    from goals.sql import AnyRow

FILE = "goals.db"

_OTHER_KEY = (
    "The goals were sealed with another key. Set VIRTUOUS6_SECRET_KEY to the same value for every "
    "process that shares them (its default is in secret.key of the home that made them)."
)
_MOVED = "The goal has moved since it was read. Read it again and decide anew; nothing was changed."
_TAKEN_OVER = "Another worker has taken over this attempt; what it does now counts."

OnMove = Callable[[str, Goal], None]
"""Told of a workspace's goal that was moved by this process."""


@dataclass(frozen=True, slots=True)
class Hold:
    """That an execution has an attempt, until another takes it: `fence` counts them, from 1."""

    workspace: str
    goal_id: str
    key: str
    attempt: int
    fence: int


HOLD: ContextVar[Hold | None] = ContextVar("hold", default=None)
"""Which attempt the running code works on; moves and notes are refused once it is another's."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that somebody should work on or let go of; `since` seconds since the epoch."""

    workspace: str
    goal_id: str
    key: str
    attempt: int
    state: str
    person: str
    since: float
    fence: int


class Ledger:
    """The goals' database, once in a process, shared by all workspaces of it.

    Every method may raise StoreError, and ConfigurationError where the key is another one.
    """

    def __init__(self, sql: Sql, fernet: Fernet, digest_key: bytes) -> None:
        self.sql = sql
        self._fernet = fernet
        self._digest_key = digest_key
        self._on_move: list[OnMove] = []

    @classmethod
    def open(
        cls,
        home: Path,
        url: str | None = None,
        secret_key: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """The file `home/goals.db`, or the Postgres at `url` (VIRTUOUS6_ENGINE_URL).

        Costs nothing before it is used: neither is connected nor made before the first call.
        Raises ConfigurationError for an address or a key that is none.
        """
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        fernet = fernet_of(home, secret_key)
        key = hashlib.sha256(b"goals:" + home_key(home, secret_key).encode()).digest()

        def prepare(transaction: Transaction) -> None:
            tables.prepare(transaction)
            _same_key(transaction, fernet)

        return cls(Sql(home / FILE, url, prepare, clock=clock), fernet, key)

    def of(self, workspace: str) -> "Goals":
        """The goals of one workspace."""
        return Goals(self, workspace)

    async def close(self) -> None:
        """Finish what was begun and let go of the database."""
        await self.sql.close()

    def on_move(self, handler: OnMove) -> None:
        """Have it called, on the loop, after each move that this process makes; it may not raise.

        What other processes move is found with `Goals.changed`.
        """
        self._on_move.append(handler)

    def no_more(self, handler: OnMove) -> None:
        """Have it called no longer."""
        self._on_move.remove(handler)

    def moved(self, workspace: str, goal: Goal) -> None:
        """Tell those who want to hear of it."""
        for handler in list(self._on_move):
            handler(workspace, goal)

    async def busy(self) -> bool:
        """Whether any attempt is queued or running, in any workspace."""
        if not self.sql.there:
            return False
        return await self.sql.do(lambda t: t.row("SELECT 1 FROM attempts LIMIT 1")) is not None

    async def waiting_enqueue(self, older_than: float) -> Sequence[Attempt]:
        """Attempts that are queued, running or ending for so many seconds, oldest first.

        Those that no workflow knows are to be enqueued again (a process died between the two).
        """
        sql = """SELECT workspace, goal_id, key, attempt, state, person, since, fence
            FROM attempts WHERE since <= :before ORDER BY since LIMIT 1000"""

        def read(transaction: Transaction) -> Sequence[Attempt]:
            found = transaction.rows(sql, before=transaction.now() - older_than)
            return [Attempt(*row) for row in found]

        return await self.sql.do(read) if self.sql.there else []

    async def take(
        self, workspace: str, goal_id: str, key: str, attempt: int, worker: str
    ) -> Hold | None:
        """Have an attempt for oneself, whoever had it before; None when it is over.

        Raises MigrationError where its goal was written by newer code, which leaves it to that.
        """
        sql = f"""UPDATE attempts SET fence = fence + 1, worker = :worker WHERE {_ATTEMPT}
            RETURNING fence"""
        values = {"workspace": workspace, "goal_id": goal_id, "key": key, "attempt": attempt}
        whose = {"workspace": workspace, "goal_id": goal_id}

        def have(transaction: Transaction) -> "AnyRow | None":
            taken = transaction.row(sql, **values, worker=worker)
            goal = transaction.row(_ONE, **whose) if taken is not None else None
            if goal is not None:
                goal_rows.read(self.unseal(goal.body), goal.revision)
            return taken

        row = await self.sql.do(have)
        return None if row is None else Hold(workspace, goal_id, key, attempt, row[0])

    async def lost(self, holds: Collection[Hold]) -> Sequence[Hold]:
        """Those whose attempts were stopped, are another's by now, or of goals that are gone.

        Not those that are settled: whoever settled one still does what follows from that.
        """
        if not holds:
            return []
        ids = {f"id{n}": goal_id for n, goal_id in enumerate({hold.goal_id for hold in holds})}
        among = f"goal_id IN ({', '.join(f':{name}' for name in ids)})"
        found = f"SELECT workspace, goal_id, key, attempt, fence, state FROM attempts WHERE {among}"
        there = f"SELECT workspace, goal_id FROM goals WHERE {among}"
        attempts, goals = await self.sql.do(lambda t: (t.rows(found, **ids), t.rows(there, **ids)))
        fences = {tuple(row[:4]): (row.fence, row.state) for row in attempts}
        known = {tuple(row) for row in goals}

        def is_lost(hold: Hold) -> bool:
            now = fences.get((hold.workspace, hold.goal_id, hold.key, hold.attempt))
            if now is None:
                return (hold.workspace, hold.goal_id) not in known
            fence, state = now
            return bool(fence != hold.fence or state == "ending")

        return [hold for hold in holds if is_lost(hold)]

    def seal(self, body: bytes) -> bytes:
        """Encrypted and signed."""
        return self._fernet.encrypt(body)

    def unseal(self, sealed: bytes) -> bytes:
        """The reverse. Raises ConfigurationError when it was sealed with another key."""
        try:
            return self._fernet.decrypt(bytes(sealed))
        except InvalidToken as error:
            raise ConfigurationError(_OTHER_KEY) from error

    def digest(self, *parts: str) -> str:
        """What stands for a person or a place in a column."""
        text = "\x1f".join(parts).encode()
        return hmac.new(self._digest_key, text, hashlib.sha256).hexdigest()[:32]


class Goals:
    """One workspace's goals. Every method may raise StoreError and ConfigurationError."""

    def __init__(self, ledger: Ledger, workspace: str) -> None:
        self.ledger = ledger
        self.workspace = workspace

    async def create(self, goal: Goal, *, limit: DayLimit | None = None) -> bool:
        """Keep a new goal; False when its id is known, and then nothing is changed.

        What it reserves and has spent is counted as by `move`. Raises BudgetExceeded.
        """

        def insert(transaction: Transaction) -> bool:
            values = self._columns(transaction, goal)
            if not transaction.change(_INSERT, **values, created_at=goal.created_at, revision=0):
                return False
            budgets.follow(transaction, self.owner(goal.user_id), (0, 0), goal, limit)
            return True

        created = await self.ledger.sql.do(insert)
        if created:
            self.ledger.moved(self.workspace, _as_of(goal, 0))
        return created

    async def move(self, goal: Goal, *, limit: DayLimit | None = None) -> Goal:
        """Put a goal in the place of its revision; returns it with the next one.

        In the same transaction: attempts of its queued and running tasks, what its person has
        spent today, and what tasks hold of it (`Task.reserved`). Holding more than the `limit` of a
        day leaves raises BudgetExceeded; a goal that was moved by another meanwhile, or an attempt
        that another worker has taken over, StaleRevision; an unknown one UnknownName. Then nothing
        was changed.
        """

        hold = self._hold(goal.goal_id)

        def update(transaction: Transaction) -> None:
            lock = " FOR UPDATE" if transaction.postgres else ""
            key = {"workspace": self.workspace, "goal_id": goal.goal_id}
            row = transaction.row(_REVISION + lock, **key)
            if row is None:
                raise UnknownName("There is no such goal any more.")
            if row.revision != goal.revision:
                raise StaleRevision(_MOVED)
            if _whose(transaction, hold) == "another's":
                raise StaleRevision(_TAKEN_OVER)
            values = self._columns(transaction, goal)
            transaction.change(_UPDATE, **values, revision=goal.revision + 1)
            counted = (row.spent_usd, row.spent_tokens)
            budgets.follow(transaction, self.owner(goal.user_id), counted, goal, limit)
            if goal.ended and all(task.reserved == NOTHING for task in goal.tasks):
                transaction.change(f"DELETE FROM journal WHERE {_GOAL}", **key)

        await self.ledger.sql.do(update)
        moved = _as_of(goal, goal.revision + 1)
        self.ledger.moved(self.workspace, moved)
        return moved

    async def goal(self, goal_id: str) -> Goal | None:
        """A goal as it is now."""
        found = await self._read(f"{_SELECT} AND goal_id = :goal_id", goal_id=goal_id)
        return found[0] if found else None

    async def ids(self, prefix: str, limit: int = 2) -> Sequence[str]:
        """Ids that begin so."""
        if not self.ledger.sql.there:
            return []
        sql = """SELECT goal_id FROM goals WHERE workspace = :workspace
            AND substr(goal_id, 1, :length) = :prefix ORDER BY goal_id LIMIT :limit"""
        values = {"workspace": self.workspace, "prefix": prefix, "length": len(prefix)}
        rows = await self.ledger.sql.do(lambda t: t.rows(sql, **values, limit=limit))
        return [row[0] for row in rows]

    async def goals(
        self,
        user: str | None = None,
        states: Iterable[GoalState] | None = None,
        limit: int = 100,
    ) -> Sequence[Goal]:
        """Newest first; those of one person, in some states."""
        sql, values = _SELECT, dict[str, Any]()
        if user is not None:
            sql += " AND person = :person"
            values["person"] = self.ledger.digest("person", self.workspace, user)
        if states is not None:
            names = {f"state{i}": state for i, state in enumerate(states)}
            sql += f" AND state IN ({', '.join(f':{name}' for name in names) or 'NULL'})"
            values.update(names)
        sql += " ORDER BY created_at DESC, goal_id LIMIT :limit"
        return await self._read(sql, **values, limit=limit)

    async def in_thread(self, channel_id: str, thread_ts: str) -> Sequence[Goal]:
        """The goals of a thread, oldest first."""
        sql = f"{_SELECT} AND place = :place ORDER BY created_at, goal_id"
        return await self._read(sql, place=self._place(channel_id, thread_ts))

    async def changed(self, since: int | None) -> tuple[Sequence[Goal], int]:
        """What moved since a cursor, and the cursor for the next time; None: only the cursor.

        0 is the beginning. A goal comes once however often it moved, and may come again although
        it did not: compare revisions.
        """
        if not self.ledger.sql.there:
            return [], since or 0

        def read(transaction: Transaction) -> "tuple[Sequence[AnyRow], int]":
            cursor = tables.cursor(transaction)
            if since is None:
                return [], cursor
            sql = f"{_SELECT} AND moved >= :since ORDER BY moved"
            return transaction.rows(sql, workspace=self.workspace, since=since), cursor

        rows, cursor = await self.ledger.sql.do(read)
        return [self._goal(row) for row in rows], cursor

    async def use_today(self, user_id: str) -> DayUse:
        """What somebody's goals have spent today and hold for what runs."""
        owner = self.owner(user_id)
        return await self.ledger.sql.do(lambda t: budgets.use(t, owner))

    # The journal

    async def journal(self, goal_id: str, key: str) -> Sequence[JournalEntry]:
        """What all attempts at a task have noted, in the order in which they began to."""
        sql = f"""SELECT attempt, position, kind, body FROM journal WHERE {_GOAL} AND key = :key
            ORDER BY number"""
        values = {"workspace": self.workspace, "goal_id": goal_id, "key": key}
        rows = await self.ledger.sql.do(lambda t: t.rows(sql, **values))
        return [
            JournalEntry(row.attempt, row.position, row.kind, self._body(row.body)) for row in rows
        ]

    async def note(self, goal_id: str, key: str, entry: JournalEntry) -> None:
        """Keep an entry, or put it in the place of the one at its position; on disk afterwards.

        Raises StaleRevision when the attempt that the running code works on is over, or another
        worker has taken it over: then what was to be noted must not be done.
        """
        sealed = self.ledger.seal(orjson.dumps(entry.body))
        values = {
            "workspace": self.workspace, "goal_id": goal_id, "key": key, "attempt": entry.attempt,
            "position": entry.position, "kind": entry.kind, "body": sealed,
        }  # fmt: skip

        hold = self._hold(goal_id)

        def keep(transaction: Transaction) -> None:
            if _whose(transaction, hold) != "mine":
                raise StaleRevision(_TAKEN_OVER)
            transaction.change(_NOTE, **values)

        await self.ledger.sql.do(keep)

    # Privacy

    async def forget(self, user_id: str) -> int:
        """Delete a person's goals with all that belongs to them, and every byte of it; how many.

        Their id is taken out of the goals of others.
        """
        return await leaving.forget(self, user_id)

    async def erase(self) -> int:
        """Delete all there is of this workspace, and every byte of it; how many goals."""
        return await leaving.erase(self)

    async def retention(self, before: float) -> int:
        """Delete goals that ended before that, or were made before and wait for a person; how many.

        Those who never answered keep no text longer than anybody else.
        """
        return await leaving.retention(self, before)

    def _hold(self, goal_id: str) -> Hold | None:
        """Which attempt at this goal the running code works on: asked outside of threads."""
        hold = HOLD.get()
        here = hold is not None and (hold.workspace, hold.goal_id) == (self.workspace, goal_id)
        return hold if here else None

    def _body(self, sealed: bytes) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(self.ledger.unseal(sealed))
        return body

    async def _read(self, sql: str, **values: Any) -> Sequence[Goal]:
        if not self.ledger.sql.there:
            return []
        rows = await self.ledger.sql.do(lambda t: t.rows(sql, workspace=self.workspace, **values))
        return [self._goal(row) for row in rows]

    def _goal(self, row: "AnyRow") -> Goal:
        return goal_rows.read(self.ledger.unseal(row.body), row.revision)

    def _columns(self, transaction: Transaction, goal: Goal) -> dict[str, Any]:
        usd, tokens = budgets.spent_by(goal)
        ended = goal.ended_at if goal.state in ENDED_GOAL else None
        return {
            "workspace": self.workspace, "goal_id": goal.goal_id, "state": goal.state,
            "person": self.owner(goal.user_id).person, "ended_at": ended,
            "place": self._place(goal.channel_id, goal.thread_ts),
            "moved": tables.next_move(transaction),
            "spent_usd": usd, "spent_tokens": tokens,
            "body": self.ledger.seal(goal_rows.written(goal)),
        }  # fmt: skip

    def owner(self, user_id: str) -> Owner:
        """Whose budget and whose rows, by a keyed digest."""
        return Owner(self.workspace, self.ledger.digest("person", self.workspace, user_id))

    def _place(self, channel_id: str, thread_ts: str) -> str:
        return self.ledger.digest("place", self.workspace, channel_id, thread_ts)


def _whose(transaction: Transaction, hold: Hold | None) -> Literal["mine", "another's", "over"]:
    """Whose the attempt is that a hold is of; without a hold nobody else's."""
    if hold is None:
        return "mine"
    share = " FOR SHARE" if transaction.postgres else ""
    sql = f"SELECT fence FROM attempts WHERE {_ATTEMPT}{share}"
    row = transaction.row(
        sql, workspace=hold.workspace, goal_id=hold.goal_id, key=hold.key, attempt=hold.attempt
    )
    if row is None:
        return "over"
    return "mine" if row.fence == hold.fence else "another's"


def _as_of(goal: Goal, revision: int) -> Goal:
    return replace(goal, revision=revision)


def _same_key(transaction: Transaction, fernet: Fernet) -> None:
    """Refuse a key that is not the one the goals are sealed with."""
    kept = "INSERT INTO facts (name, sealed) VALUES ('key', :sealed) ON CONFLICT DO NOTHING"
    transaction.change(kept, sealed=fernet.encrypt(b"goals"))
    row = transaction.row("SELECT sealed FROM facts WHERE name = 'key'")
    assert row is not None
    try:
        fernet.decrypt(bytes(row[0]))
    except InvalidToken as error:
        raise ConfigurationError(_OTHER_KEY) from error


_GOAL = "workspace = :workspace AND goal_id = :goal_id"
_ATTEMPT = f"{_GOAL} AND key = :key AND attempt = :attempt"
_SELECT = "SELECT revision, body FROM goals WHERE workspace = :workspace"
_ONE = f"SELECT revision, body FROM goals WHERE {_GOAL}"
_REVISION = f"SELECT revision, spent_usd, spent_tokens FROM goals WHERE {_GOAL}"
_INSERT = """INSERT INTO goals (workspace, goal_id, revision, state, person, place, created_at,
        ended_at, moved, spent_usd, spent_tokens, body)
    VALUES (:workspace, :goal_id, :revision, :state, :person, :place, :created_at, :ended_at,
        :moved, :spent_usd, :spent_tokens, :body)
    ON CONFLICT DO NOTHING"""
_UPDATE = f"""UPDATE goals SET revision = :revision, state = :state, person = :person,
        place = :place, ended_at = :ended_at, moved = :moved, spent_usd = :spent_usd,
        spent_tokens = :spent_tokens, body = :body
    WHERE {_GOAL}"""
_NOTE = """INSERT INTO journal (workspace, goal_id, key, attempt, position, kind, number, body)
    SELECT :workspace, :goal_id, :key, :attempt, :position, :kind,
        coalesce(max(number), 0) + 1, :body
    FROM journal WHERE workspace = :workspace AND goal_id = :goal_id AND key = :key
    ON CONFLICT (workspace, goal_id, key, attempt, position) DO UPDATE
    SET kind = excluded.kind, body = excluded.body"""
