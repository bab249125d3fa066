"""What is on its way in one workspace: the inbox, sends, outgoing posts and claims.

Texts are encrypted, and deleted when their work is done.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from database.engine import Engine
from database.errors import UnknownName
from database.forgetting import whole
from database.sqlite_file import Row

PostState = Literal["waiting", "sending", "sent", "failed"]

_TABLES = ("inbox", "sends", "outgoing", "claims", "kept_posts")
_NAMES = {"claims": "name", "outgoing": "post_id", "kept_posts": "post_id"}
"""Names of ours that may carry a person's id, also when their work is done."""


@dataclass(frozen=True, slots=True)
class InboxRow:
    """Something that was accepted and is not done; `payload` decrypted."""

    event_key: str
    thread_key: str
    payload: bytes
    received_at: float


@dataclass(frozen=True, slots=True)
class Send:
    """One moment of a send: its intent, or its end with the message's `ts`; `body` decrypted."""

    run_id: str
    state: str
    ts: str | None
    noted_at: float
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class OutgoingPost:
    """A post that is nobody's reply and is not sent yet; `body` decrypted."""

    post_id: str
    channel_id: str
    body: bytes
    state: PostState


@dataclass(frozen=True, slots=True)
class KeptPost:
    """A message of ours that may be rewritten: where it is, and what it showed last."""

    post_id: str
    channel_id: str
    ts: str
    shown: str


class Coordination:
    """One workspace's part of the engine database. Every method may raise StoreError."""

    def __init__(self, engine: Engine, workspace: str) -> None:
        self.engine = engine
        self._workspace = workspace

    @classmethod
    def open(
        cls,
        home: Path,
        secret_key: str | None = None,
        *,
        workspace: str = "local",
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """The same with a file of its own, as `Engine.open`; `close` lets go of it."""
        return cls(Engine.open(home, secret_key, clock=clock), workspace)

    async def close(self) -> None:
        """Finish what was begun and let go of the file, for all who share it."""
        await self.engine.close()

    # Inbox

    async def accept(self, event_key: str, thread_key: str, payload: bytes) -> bool:
        """Keep an event: on disk when this returns; False when its key is known."""
        sql = """INSERT INTO inbox (workspace, event_key, thread_key, payload, received_at)
            VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
        sealed = self.engine.seal(payload)
        values = (self._workspace, event_key, thread_key, sealed, self.engine.clock())
        return await self.engine.queue(sql, values) == 1

    async def pending(self) -> list[InboxRow]:
        """What was accepted and is not done, in the order it came.

        Raises ConfigurationError when it was encrypted with another key.
        """
        sql = "SELECT * FROM inbox WHERE workspace = ? AND done_at IS NULL ORDER BY seq"
        return [
            InboxRow(
                row["event_key"],
                row["thread_key"],
                self.engine.unseal(row["payload"]),
                row["received_at"],
            )
            for row in self.engine.rows(sql, (self._workspace,))
        ]

    async def done(self, event_key: str) -> None:
        """Delete all but the key, which stays known for a day. Doing it twice changes nothing.

        The thread's key goes too: that of a command names the person.
        """
        sql = """UPDATE inbox SET payload = NULL, thread_key = '', done_at = ?
            WHERE workspace = ? AND event_key = ? AND done_at IS NULL"""
        await self.engine.queue(sql, (self.engine.clock(), self._workspace, event_key))
        await self.engine.sweep()

    # Sends

    def note_send(
        self,
        run_id: str,
        state: str,
        ts: str | None = None,
        body: bytes | None = None,
        *,
        soon: bool = False,
    ) -> asyncio.Future[int]:
        """Keep that a run's message is about to be sent, or was sent as `ts`.

        Queued when this returns, on disk once it was awaited; what is queued stays in order. What
        need only be on disk `soon` goes there with the next write, within a second.
        """
        sql = """INSERT INTO sends (workspace, run_id, state, ts, noted_at, body)
            VALUES (?, ?, ?, ?, ?, ?)"""
        sealed = None if body is None else self.engine.seal(body)
        values = (self._workspace, run_id, state, ts, self.engine.clock(), sealed)
        return self.engine.queue(sql, values, soon=soon)

    def settle_sends(self, run_id: str) -> asyncio.Future[int]:
        """The answer is seen and recorded: delete its body. Queued like `note_send`."""
        sql = "UPDATE sends SET body = NULL WHERE workspace = ? AND run_id = ? AND body NOTNULL"
        return self.engine.queue(sql, (self._workspace, run_id))

    async def sends(self, run_id: str) -> list[Send]:
        """What was noted about a run's messages in the last day, in order.

        Raises ConfigurationError when it was encrypted with another key.
        """
        sql = "SELECT * FROM sends WHERE workspace = ? AND run_id = ? ORDER BY seq"
        return [
            Send(
                row["run_id"],
                row["state"],
                row["ts"],
                row["noted_at"],
                None if row["body"] is None else self.engine.unseal(row["body"]),
            )
            for row in self.engine.rows(sql, (self._workspace, run_id))
        ]

    # Outgoing posts

    async def queue_post(self, post_id: str, channel_id: str, body: bytes) -> bool:
        """Keep a post until it is sent; False when its id is known.

        That of a kept post, and of what it shows now, stays known for ever; others for a day.
        """
        sql = """INSERT INTO outgoing (workspace, post_id, channel_id, body, state, queued_at)
            SELECT ?1, ?2, ?3, ?4, 'waiting', ?5 WHERE NOT EXISTS (SELECT 1 FROM kept_posts
            WHERE workspace = ?1 AND (post_id = ?2 OR shown = ?2)) ON CONFLICT DO NOTHING"""
        sealed = self.engine.seal(body)
        values = (self._workspace, post_id, channel_id, sealed, self.engine.clock())
        return await self.engine.queue(sql, values) == 1

    async def posts(self) -> list[OutgoingPost]:
        """What is waiting or was being sent, in order."""
        sql = "SELECT * FROM outgoing WHERE workspace = ? AND done_at IS NULL ORDER BY seq"
        return [
            OutgoingPost(
                row["post_id"], row["channel_id"], self.engine.unseal(row["body"]), row["state"]
            )
            for row in self.engine.rows(sql, (self._workspace,))
        ]

    async def note_post(self, post_id: str, state: PostState, ts: str | None = None) -> None:
        """Keep how far a post is; `sent` and `failed` end it and delete its body.

        Raises UnknownName when no such post was queued.
        """
        ended = state in ("sent", "failed")
        sql = """UPDATE outgoing SET state = ?, ts = ?, done_at = ?,
            body = CASE WHEN ? THEN NULL ELSE body END WHERE workspace = ? AND post_id = ?"""
        done_at = self.engine.clock() if ended else None
        values = (state, ts, done_at, ended, self._workspace, post_id)
        if not await self.engine.queue(sql, values):
            raise UnknownName(f"No post {post_id} is queued; queue it first.")

    async def knows_post(self, post_id: str) -> bool:
        """Whether `queue_post` would refuse this id."""
        sql = """SELECT 1 FROM outgoing WHERE workspace = ?1 AND post_id = ?2 UNION ALL
            SELECT 1 FROM kept_posts WHERE workspace = ?1 AND (post_id = ?2 OR shown = ?2)"""
        return bool(self.engine.rows(sql, (self._workspace, post_id)))

    async def keep_post(self, post_id: str, channel_id: str, ts: str, shown: str) -> None:
        """Remember for ever where a post is; `shown` names the version that it shows."""
        sql = """INSERT INTO kept_posts (workspace, post_id, channel_id, ts, shown, kept_at)
            VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
            channel_id = excluded.channel_id, ts = excluded.ts, shown = excluded.shown"""
        values = (self._workspace, post_id, channel_id, ts, shown, self.engine.clock())
        await self.engine.queue(sql, values)

    async def kept_posts(self) -> list[KeptPost]:
        """All of them."""
        sql = "SELECT post_id, channel_id, ts, shown FROM kept_posts WHERE workspace = ?"
        return [KeptPost(*row) for row in self.engine.rows(sql, (self._workspace,))]

    async def kept_post(self, post_id: str) -> KeptPost | None:
        """One of them."""
        sql = """SELECT post_id, channel_id, ts, shown FROM kept_posts
            WHERE workspace = ? AND post_id = ?"""
        rows = self.engine.rows(sql, (self._workspace, post_id))
        return KeptPost(*rows[0]) if rows else None

    # Claims

    async def claim(self, name: str, ttl: float) -> bool:
        """True for one caller only, over all processes, until `ttl` seconds have passed."""
        return await self.engine.claim(self._workspace, name, ttl)

    async def renew(self, name: str, ttl: float) -> bool:
        """Keep what was claimed here for `ttl` seconds from now; False where others have it now."""
        return await self.engine.renew(self._workspace, name, ttl)

    async def release(self, name: str) -> None:
        """Let the next caller have what was claimed here."""
        await self.engine.release(self._workspace, name)

    # Privacy

    async def forget(self, user_id: str) -> int:
        """Delete every kept text that names this person, and every byte of it; how many."""
        named, whole_id = user_id.encode(), whole(user_id)
        events = [row.event_key for row in await self.pending() if named in row.payload]
        posts = [post.post_id for post in await self.posts() if named in post.body]
        answers = [
            row["seq"] for row in self._answers() if named in self.engine.unseal(row["body"])
        ]

        def delete(connection: sqlite3.Connection) -> None:
            for table, key, names in (
                ("inbox", "event_key", events),
                ("outgoing", "post_id", posts),
            ):
                for name in names:
                    sql = f"DELETE FROM {table} WHERE workspace = ? AND {key} = ?"
                    connection.execute(sql, (self._workspace, name))
            for table, key in _NAMES.items():
                sql = f"SELECT {key} FROM {table} WHERE workspace = ? AND instr({key}, ?)"
                found = connection.execute(sql, (self._workspace, user_id)).fetchall()
                drop = f"DELETE FROM {table} WHERE workspace = ? AND {key} = ?"
                theirs = [(self._workspace, name) for (name,) in found if whole_id.search(name)]
                connection.executemany(drop, theirs)
            for seq in answers:
                connection.execute("UPDATE sends SET body = NULL WHERE seq = ?", (seq,))

        await self.engine.do(delete)
        await self.engine.wipe()
        return len(events) + len(posts) + len(answers)

    async def erase(self) -> int:
        """Delete all there is of this workspace, and every byte of it; how many rows."""

        def delete(connection: sqlite3.Connection) -> int:
            sql = "DELETE FROM {} WHERE workspace = ?"
            return sum(
                connection.execute(sql.format(table), (self._workspace,)).rowcount
                for table in _TABLES
            )

        count = await self.engine.do(delete)
        await self.engine.wipe()
        return count

    def _answers(self) -> list[Row]:
        sql = "SELECT seq, body FROM sends WHERE workspace = ? AND body NOTNULL"
        return self.engine.rows(sql, (self._workspace,))
