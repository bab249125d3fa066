"""What is on its way: the inbox, sends, outgoing posts and claims, in the engine database.

Every write is flushed to the disk before its call returns; calls that arrive together share one
flush, in a thread, so that the event loop never waits for the disk. Texts are encrypted and
deleted when their work is done.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from cryptography.fernet import Fernet, InvalidToken

from database.errors import ConfigurationError, UnknownName
from database.sqlite_file import SqliteFile, explained, wipe

T = TypeVar("T")
PostState = Literal["waiting", "sending", "sent", "failed"]

ENGINE = "engine.db"
KEY_FILE = "secret.key"
KEPT_SECONDS = 24 * 3600.0
"""How long a key that is done stays known: Slack repeats an event for up to an hour."""
_SWEEP_SECONDS = 3600.0
_SOON_S = 0.5

_DONE = {"inbox": "done_at", "outgoing": "done_at", "sends": "noted_at"}


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


class Coordination:
    """The engine database, opened for one workspace. Every method may raise StoreError."""

    def __init__(
        self, file: SqliteFile, fernet: Fernet, workspace: str, clock: Callable[[], float]
    ) -> None:
        self._file = file
        self._fernet = fernet
        self._workspace = workspace
        self._clock = clock
        self._writer = _GroupCommit(file)
        self._swept_at = 0.0

    @classmethod
    def open(
        cls,
        home: Path,
        secret_key: str | None = None,
        *,
        workspace: str = "local",
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open or create `home/engine.db`.

        Without a `secret_key` (VIRTUOUS6_SECRET_KEY) the one in `home/secret.key` is used, and made
        at first, readable by its owner only. Raises ConfigurationError for a key that is none.
        """
        file = SqliteFile(home / ENGINE, "engine", "FULL")
        try:
            return cls(file, _fernet(home, secret_key), workspace, clock)
        except BaseException:
            file.close()
            raise

    async def close(self) -> None:
        """Finish what was begun and let go of the file."""
        await self._writer.close()
        self._file.close()

    # Inbox

    async def accept(self, event_key: str, thread_key: str, payload: bytes) -> bool:
        """Keep an event: on disk when this returns; False when its key is known."""
        sql = """INSERT INTO inbox (workspace, event_key, thread_key, payload, received_at)
            VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
        sealed = self._fernet.encrypt(payload)
        values = (self._workspace, event_key, thread_key, sealed, self._clock())
        return await self._write(sql, values) == 1

    async def pending(self) -> list[InboxRow]:
        """What was accepted and is not done, in the order it came.

        Raises ConfigurationError when it was encrypted with another key.
        """
        sql = "SELECT * FROM inbox WHERE workspace = ? AND done_at IS NULL ORDER BY seq"
        return [
            InboxRow(
                row["event_key"], row["thread_key"], self._open(row["payload"]), row["received_at"]
            )
            for row in self._file.rows(sql, (self._workspace,))
        ]

    async def done(self, event_key: str) -> None:
        """Delete all but the key, which stays known for a day. Doing it twice changes nothing.

        The thread's key goes too: that of a command names the person.
        """
        sql = """UPDATE inbox SET payload = NULL, thread_key = '', done_at = ?
            WHERE workspace = ? AND event_key = ? AND done_at IS NULL"""
        await self._write(sql, (self._clock(), self._workspace, event_key))
        await self._sweep()

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
        sealed = None if body is None else self._fernet.encrypt(body)
        values = (self._workspace, run_id, state, ts, self._clock(), sealed)
        return self._queue(sql, values, soon=soon)

    def settle_sends(self, run_id: str) -> asyncio.Future[int]:
        """The answer is seen and recorded: delete its body. Queued like `note_send`."""
        sql = "UPDATE sends SET body = NULL WHERE workspace = ? AND run_id = ? AND body NOTNULL"
        return self._queue(sql, (self._workspace, run_id))

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
                None if row["body"] is None else self._open(row["body"]),
            )
            for row in self._file.rows(sql, (self._workspace, run_id))
        ]

    # Outgoing posts

    async def queue_post(self, post_id: str, channel_id: str, body: bytes) -> bool:
        """Keep a post until it is sent; False when its id is known."""
        sql = """INSERT INTO outgoing (workspace, post_id, channel_id, body, state, queued_at)
            VALUES (?, ?, ?, ?, 'waiting', ?) ON CONFLICT DO NOTHING"""
        sealed = self._fernet.encrypt(body)
        values = (self._workspace, post_id, channel_id, sealed, self._clock())
        return await self._write(sql, values) == 1

    async def posts(self) -> list[OutgoingPost]:
        """What is waiting or was being sent, in order."""
        sql = "SELECT * FROM outgoing WHERE workspace = ? AND done_at IS NULL ORDER BY seq"
        return [
            OutgoingPost(row["post_id"], row["channel_id"], self._open(row["body"]), row["state"])
            for row in self._file.rows(sql, (self._workspace,))
        ]

    async def note_post(self, post_id: str, state: PostState, ts: str | None = None) -> None:
        """Keep how far a post is; `sent` and `failed` end it and delete its body.

        Raises UnknownName when no such post was queued.
        """
        ended = state in ("sent", "failed")
        sql = """UPDATE outgoing SET state = ?, ts = ?, done_at = ?,
            body = CASE WHEN ? THEN NULL ELSE body END WHERE workspace = ? AND post_id = ?"""
        done_at = self._clock() if ended else None
        values = (state, ts, done_at, ended, self._workspace, post_id)
        if not await self._write(sql, values):
            raise UnknownName(f"No post {post_id} is queued; queue it first.")

    # Claims

    async def claim(self, name: str, ttl: float) -> bool:
        """True for one caller only, over all processes, until `ttl` seconds have passed."""
        now = self._clock()
        sql = """INSERT INTO claims (workspace, name, until) VALUES (?, ?, ?)
            ON CONFLICT DO UPDATE SET until = excluded.until WHERE claims.until <= ?"""
        return await self._write(sql, (self._workspace, name, now + ttl, now)) == 1

    # Privacy

    async def forget(self, user_id: str) -> int:
        """Delete every kept text that names this person, and every byte of it; how many."""
        named = user_id.encode()
        events = [row.event_key for row in await self.pending() if named in row.payload]
        posts = [post.post_id for post in await self.posts() if named in post.body]
        answers = [row["seq"] for row in self._answers() if named in self._open(row["body"])]

        def delete(connection: sqlite3.Connection) -> None:
            for table, key, names in (
                ("inbox", "event_key", events),
                ("outgoing", "post_id", posts),
            ):
                for name in names:
                    sql = f"DELETE FROM {table} WHERE workspace = ? AND {key} = ?"
                    connection.execute(sql, (self._workspace, name))
            for seq in answers:
                connection.execute("UPDATE sends SET body = NULL WHERE seq = ?", (seq,))

        await self._writer.do(delete)
        await self._file.aside(wipe)
        return len(events) + len(posts) + len(answers)

    def _answers(self) -> list[sqlite3.Row]:
        sql = "SELECT seq, body FROM sends WHERE workspace = ? AND body NOTNULL"
        return self._file.rows(sql, (self._workspace,))

    def _queue(self, sql: str, values: Sequence[Any], *, soon: bool = False) -> asyncio.Future[int]:
        return self._writer.do(
            lambda connection: connection.execute(sql, values).rowcount, soon=soon
        )

    async def _write(self, sql: str, values: Sequence[Any]) -> int:
        return await self._queue(sql, values)

    async def _sweep(self) -> None:
        """Once an hour: what is done for a day is deleted."""
        now = self._clock()
        if now - self._swept_at < _SWEEP_SECONDS:
            return
        self._swept_at = now

        def delete(connection: sqlite3.Connection) -> None:
            for table, column in _DONE.items():
                connection.execute(f"DELETE FROM {table} WHERE {column} < ?", (now - KEPT_SECONDS,))
            connection.execute("DELETE FROM claims WHERE until < ?", (now,))

        await self._writer.do(delete)

    def _open(self, sealed: bytes) -> bytes:
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise ConfigurationError(
                f"{self._file.path} was encrypted with another key. Set VIRTUOUS6_SECRET_KEY to "
                f"the former one (or put back {KEY_FILE}), or delete {ENGINE} and lose the "
                "messages that were not answered yet."
            ) from error


class _GroupCommit:
    """Writes that arrive while the disk is busy share the next transaction, in a thread."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="coordination")
        self._waiting: list[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = []
        self._flushing: asyncio.Task[None] | None = None

    def do(
        self, work: Callable[[sqlite3.Connection], T], *, soon: bool = False
    ) -> asyncio.Future[T]:
        """Flushed to disk once awaited. Also done when the caller is cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, future))
        if soon:
            loop.call_later(_SOON_S, self._start)
        else:
            self._start()
        return future

    def _start(self) -> None:
        if self._waiting and self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def close(self) -> None:
        self._start()
        if self._flushing is not None:
            await self._flushing
        self._thread.shutdown()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            works = [work for work, _ in batch]
            try:
                results = await loop.run_in_executor(self._thread, self._commit, works)
            except Exception as error:  # noqa: BLE001 (each caller gets it)
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        self._flushing = None

    def _commit(self, works: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        with self._file.transaction() as connection:
            return [work(connection) for work in works]


def _fernet(home: Path, secret_key: str | None) -> Fernet:
    key = secret_key or _key_file(home / KEY_FILE)
    try:
        return Fernet(key)
    except ValueError as error:
        where = "VIRTUOUS6_SECRET_KEY" if secret_key else str(home / KEY_FILE)
        raise ConfigurationError(
            f"{where} is not a key. Make one with: python -c 'from cryptography.fernet import "
            "Fernet; print(Fernet.generate_key().decode())'"
        ) from error


def _key_file(path: Path) -> str:
    """The key in this file; the first process makes it, whole or not at all."""
    with explained(path):
        if not path.exists():
            mine = path.with_suffix(f".{os.getpid()}")
            handle = os.open(mine, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(Fernet.generate_key())
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(mine, path)
            mine.unlink()
        return path.read_text(encoding="ascii").strip()
