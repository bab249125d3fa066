"""The engine database file: opened once in a process, shared by all workspaces of it.

Every write is flushed to the disk before its call returns; calls that arrive together share one
flush, in a thread, so that the event loop never waits for the disk. Texts are encrypted.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from cachetools import LRUCache
from cryptography.fernet import Fernet, InvalidToken

from database.errors import ConfigurationError
from database.sqlite_file import Row, SqliteFile, explained, wipe

T = TypeVar("T")

ENGINE = "engine.db"
KEY_FILE = "secret.key"
KEPT_SECONDS = 24 * 3600.0
"""How long a key that is done stays known: Slack repeats an event for up to an hour."""
_SWEEP_SECONDS = 3600.0
_SOON_S = 0.5
_CLAIMED = 10_000

_OTHER_KEY = (
    f"{ENGINE} was encrypted with another key. Set VIRTUOUS6_SECRET_KEY to the former one (or put "
    f"back {KEY_FILE}), or delete {ENGINE} and lose the messages that were not answered yet and "
    "the workspaces that installed the app."
)

_DONE = {"inbox": "done_at", "outgoing": "done_at", "sends": "noted_at"}


class Engine:
    """The file, its key and its writer. Every method may raise StoreError."""

    def __init__(self, file: SqliteFile, fernet: Fernet, clock: Callable[[], float]) -> None:
        self._file = file
        self._fernet = fernet
        self.clock = clock
        self._writer = _GroupCommit(file)
        self._swept_at = 0.0
        self._claimed: LRUCache[tuple[str, str], float] = LRUCache(_CLAIMED)
        """Until when this process claimed what: by that it knows its own claims again."""

    @classmethod
    def open(
        cls,
        home: Path,
        secret_key: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open or create `home/engine.db`.

        Without a `secret_key` (VIRTUOUS6_SECRET_KEY) the one in `home/secret.key` is used, and made
        at first, readable by its owner only. Raises ConfigurationError for a key that is none.
        """
        file = SqliteFile(home / ENGINE, "engine", "FULL")
        try:
            return cls(file, fernet_of(home, secret_key), clock)
        except BaseException:
            file.close()
            raise

    async def close(self) -> None:
        """Finish what was begun and let go of the file."""
        await self._writer.close()
        self._file.close()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """A short read; it sees every write that was awaited."""
        return self._file.rows(sql, values)

    def queue(self, sql: str, values: Sequence[Any], *, soon: bool = False) -> asyncio.Future[int]:
        """One statement, on disk once awaited; how many rows it changed."""
        return self.do(lambda connection: connection.execute(sql, values).rowcount, soon=soon)

    def do(
        self, work: Callable[[sqlite3.Connection], T], *, soon: bool = False
    ) -> asyncio.Future[T]:
        """Several statements in one transaction, on disk once awaited.

        Also done when the caller is cancelled meanwhile. What need only be on disk `soon` goes
        there with the next write, within a second.
        """
        return self._writer.do(work, soon=soon)

    async def wipe(self) -> None:
        """Leave no byte of what was deleted."""
        await self._file.aside(wipe)

    async def sweep(self) -> None:
        """Once an hour: what is done for a day is deleted."""
        now = self.clock()
        if now - self._swept_at < _SWEEP_SECONDS:
            return
        self._swept_at = now

        def delete(connection: sqlite3.Connection) -> None:
            for table, column in _DONE.items():
                connection.execute(f"DELETE FROM {table} WHERE {column} < ?", (now - KEPT_SECONDS,))
            connection.execute("DELETE FROM claims WHERE until < ?", (now,))

        await self.do(delete)

    async def claim(self, workspace: str, name: str, ttl: float) -> bool:
        """True for one caller only, over all processes, until `ttl` seconds have passed.

        What is claimed for much longer than that was claimed by a clock that was wrong: it is free.
        """
        now = self.clock()
        until = now + ttl
        sql = """INSERT INTO claims (workspace, name, until) VALUES (?, ?, ?)
            ON CONFLICT DO UPDATE SET until = excluded.until
            WHERE claims.until <= ? OR claims.until > ?"""
        mine = await self.queue(sql, (workspace, name, until, now, until + ttl)) == 1
        if mine:
            self._claimed[workspace, name] = until
        return mine

    async def renew(self, workspace: str, name: str, ttl: float) -> bool:
        """Keep what was claimed here for `ttl` seconds from now; False where others have it now."""
        until = self.clock() + ttl
        sql = "UPDATE claims SET until = ? WHERE workspace = ? AND name = ? AND until = ?"
        held = self._claimed.get((workspace, name))
        mine = await self.queue(sql, (until, workspace, name, held)) == 1
        if mine:
            self._claimed[workspace, name] = until
        return mine

    async def release(self, workspace: str, name: str) -> None:
        """Let the next caller have what was claimed here, unless others have it by now."""
        sql = "DELETE FROM claims WHERE workspace = ? AND name = ? AND until = ?"
        await self.queue(sql, (workspace, name, self._claimed.pop((workspace, name), None)))

    def seal(self, text: bytes) -> bytes:
        """Encrypted and signed; URL-safe base64."""
        return self._fernet.encrypt_at_time(text, int(self.clock()))

    def unseal(self, sealed: bytes) -> bytes:
        """The reverse. Raises ConfigurationError when it was encrypted with another key."""
        return _decrypted(self._fernet, sealed)

    def unseal_fresh(self, sealed: bytes, max_age: float) -> bytes | None:
        """The same for what strangers hand in: None where it is not ours, or too old."""
        try:
            return self._fernet.decrypt_at_time(sealed, int(max_age), int(self.clock()))
        except InvalidToken:
            return None


def opened(home: Path, secret_key: str | None, sealed: bytes) -> bytes:
    """What was encrypted in this home, while nobody need have opened the file.

    Raises ConfigurationError when it was encrypted with another key.
    """
    if not secret_key and not (home / KEY_FILE).exists():
        raise ConfigurationError(_OTHER_KEY)
    return _decrypted(fernet_of(home, secret_key), sealed)


def _decrypted(fernet: Fernet, sealed: bytes) -> bytes:
    try:
        return fernet.decrypt(sealed)
    except InvalidToken as error:
        raise ConfigurationError(_OTHER_KEY) from error


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


def home_key(home: Path, secret_key: str | None) -> str:
    """The key that texts of this home are sealed with; without a `secret_key` that of its file."""
    return secret_key or _key_file(home / KEY_FILE)


def fernet_of(home: Path, secret_key: str | None) -> Fernet:
    """What seals and unseals texts of this home. Raises ConfigurationError for a key that is none.

    Where nobody set a `secret_key`, the home's folder must be there.
    """
    key = home_key(home, secret_key)
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
