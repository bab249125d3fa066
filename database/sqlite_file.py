"""One SQLite file in WAL mode: opening it, writing whole transactions, reading aside of the loop.

Writing never checkpoints (that is what makes one append in a thousand take 12 ms); a thread of its
own does. Several processes on one machine may share a file; each waits for the other's turn.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import structlog

from database import migrations
from database.errors import ConfigurationError, InputError, StoreError

T = TypeVar("T")
Row = sqlite3.Row
Values = Sequence[Any]

BUSY_SECONDS = 30.0
"""How long a writer waits for another's turn; forgetting a person on a large file takes seconds."""
CHECKPOINT_EVERY = 500
"""Transactions between two checkpoints; a run with two messages writes about 100 kB of log."""
CHECKPOINT_ROWS = 5000
"""Changed rows after which one is made whatever the number of transactions: an import is one."""
LOG_BYTES = 64 * 2**20
"""A log that outgrows this, because writing never pauses, is emptied while writers wait."""

_OLDEST_SQLITE = (3, 37, 0)
_WRITER_CACHE_KIB = 16384
"""SQLite's own 2 MB are too few for the indexes that one append touches: with them it takes half as
long again."""
_CACHE_KIB = 65536

_log = structlog.get_logger(__name__)

_CAUSES = (
    (
        ("not a database", "malformed", "file is encrypted"),
        "{file} is damaged or is not a database. Move it away and start again (a new one is made), "
        "or put back a copy",
    ),
    (
        ("unable to open", "readonly", "read-only", "permission", "directory", "file exists"),
        "{file} cannot be written. Give this user write access to its folder, or set "
        "VIRTUOUS6_HOME to another folder",
    ),
    (
        ("full", "disk i/o error", "no space"),
        "{file} could not be written because the disk is full or failing. Free some space; "
        "nothing was half-written",
    ),
    (
        ("locked", "busy"),
        "{file} is held by another process. Wait until it has finished, or stop it",
    ),
)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into StoreErrors that say what to do."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        raise explain(path, error) from error


def explain(path: Path, error: Exception) -> StoreError:
    """What went wrong with this file, in words that say what to do.

    The words may be shown to anybody, so that where the file is stands in a note beside them.
    """
    reason = str((error.strerror if isinstance(error, OSError) else None) or error)
    text = reason.lower()
    words = next(
        (f"{advice} ({reason})." for signs, advice in _CAUSES if any(s in text for s in signs)),
        f"{{file}} could not be used: {reason}. Nothing was half-written; report this.",
    )
    explained = StoreError(words.replace("{file}", path.name))
    explained.add_note(f"The file is {path}.")
    return explained


class SqliteFile:
    """A migrated database file with one writing connection.

    `synchronous` NORMAL survives a killed process but may lose the last moments in a power cut;
    FULL survives both and costs a flush of the disk for each transaction. `upkeep` is work that can
    wait for the next checkpoint; it says whether there is more.
    """

    def __init__(
        self,
        path: Path,
        family: migrations.Family,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        upkeep: Callable[[sqlite3.Connection], bool] | None = None,
    ) -> None:
        self.path = path
        self._upkeep = upkeep
        self._lock = threading.RLock()
        self._commits = 0
        self._changes = 0
        self._wanted = threading.Event()
        self._closing = False
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigurationError(
                f"This Python brings SQLite {sqlite3.sqlite_version}, which is too old; 3.37 is "
                "needed. Use a newer Python."
            )
        with explained(path):
            _create_private(path)
            self._writer = self._connect(synchronous)
            self._writer.execute(f"PRAGMA cache_size = {-_WRITER_CACHE_KIB}")
            try:
                migrations.migrate(self._writer, family, path)
            except BaseException:
                self._writer.close()
                raise
        self._checkpointer = threading.Thread(target=self._checkpoints, daemon=True)
        self._checkpointer.start()

    def _connect(self, synchronous: str = "NORMAL") -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; other writers wait. Raises InputError for a value that cannot be kept."""
        with self._lock:
            connection = self._writer
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.IntegrityError | OverflowError):
                    raise InputError(
                        f"The record refuses a value: {error}. Correct it; nothing was kept."
                    ) from error
                if isinstance(error, sqlite3.Error):
                    raise explain(self.path, error) from error
                raise
            self._count_commit(connection.total_changes)

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """A short read in line; it sees every write of this process. Raises StoreError."""
        with self._lock:
            try:
                return self._writer.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise explain(self.path, error) from error

    def row(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a short read, or None."""
        found = self.rows(sql, values)
        return found[0] if found else None

    async def aside(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something slow in a thread with a connection of its own. Raises StoreError."""
        return await asyncio.to_thread(self.on_own_connection, work)

    def on_own_connection(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `aside` does, in this thread."""
        with explained(self.path), contextlib.closing(self._connect()) as connection:
            connection.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")
            try:
                return work(connection)
            finally:
                if connection.total_changes >= CHECKPOINT_ROWS:
                    self.checkpoint_soon()

    def checkpoint_soon(self) -> None:
        """Bring the write-ahead log home in the background, and the work that waited for that."""
        self._wanted.set()

    def close(self) -> None:
        """Close; the last one to close a file also empties its write-ahead log."""
        self._closing = True
        self._wanted.set()
        self._checkpointer.join()
        with self._lock:
            self._writer.close()

    def _count_commit(self, changes: int) -> None:
        self._commits += 1
        if self._commits >= CHECKPOINT_EVERY or changes - self._changes >= CHECKPOINT_ROWS:
            self._commits, self._changes = 0, changes
            self.checkpoint_soon()

    def _checkpoints(self) -> None:
        while True:
            self._wanted.wait()
            if self._closing:
                return
            self._wanted.clear()
            try:
                self.on_own_connection(self._checkpoint)
            except StoreError as error:
                _log.warning("checkpoint_failed", reason=str(error))

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        while self._upkeep is not None:
            with self._lock:
                if not self._upkeep(connection):
                    break
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        log = self.path.with_name(f"{self.path.name}-wal")
        if log.stat().st_size > LOG_BYTES:
            # Most was just copied, so that this is short; the lock spares writers here from
            # SQLite's growing pauses between two attempts.
            with self._lock:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def wipe(connection: sqlite3.Connection) -> None:
    """Leave no byte of deleted rows in the file or in its write-ahead log."""
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _create_private(path: Path) -> None:
    """A new file and its folder are readable by their owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
