"""The engine database: one file of SQLite, or a Postgres that several workers share.

Statements are plain SQL that both speak; where they differ the caller asks `postgres`. Everything
is done in threads, each `do` in a transaction of its own, so that the event loop never waits.
"""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from database.errors import ConfigurationError, StoreError
from database.sqlite_file import BUSY_SECONDS, explain

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Row, TextClause

    AnyRow = Row[*tuple[Any, ...]]

T = TypeVar("T")

SCHEMA = "virtuous6"
"""Where our tables are on Postgres."""

_THREADS = 4
"""Connections to Postgres for each process; SQLite has one writer anyway."""
CONNECT_S = 10
_ATTEMPTS = 6
_PAUSE_S = 0.05
_AGAIN = ("40001", "40P01", "55P03")
"""Postgres: could not serialize, deadlock, lock not available."""
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


class Transaction:
    """One transaction: what is read and written in it is done whole or not at all."""

    def __init__(
        self, connection: "Connection", postgres: bool, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self.postgres = postgres
        self._clock = clock

    def rows(self, sql: str, **values: Any) -> "list[AnyRow]":
        """What a statement returns."""
        return list(self._connection.execute(_text(sql), values).fetchall())

    def row(self, sql: str, **values: Any) -> "AnyRow | None":
        """The first of it, or None."""
        return self._connection.execute(_text(sql), values).fetchone()

    def change(self, sql: str, **values: Any) -> int:
        """How many rows a statement changed."""
        return self._connection.execute(_text(sql), values).rowcount

    def change_all(self, sql: str, values: list[dict[str, Any]]) -> None:
        """The same statement with each of these values."""
        if values:
            self._connection.execute(_text(sql), values)

    def now(self) -> float:
        """Seconds since the epoch, by one clock for all who share the database."""
        if not self.postgres:
            return self._clock()
        found = self.row("SELECT extract(epoch FROM clock_timestamp())::float8")
        assert found is not None
        return float(found[0])

    def script(self, statements: str) -> None:
        """Statements that end with a semicolon each and return nothing."""
        for statement in filter(None, (part.strip() for part in statements.split(";"))):
            self._connection.exec_driver_sql(statement)


class Sql:
    """The database behind an address; nothing is connected before the first `do`.

    `url` None is the file at `path`, made with the first `do`, readable by its owner only. Every
    method may raise StoreError, which says what to do.
    """

    def __init__(
        self,
        path: Path,
        url: str | None,
        prepare: Callable[[Transaction], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.postgres = url is not None
        self._url = None if url is None else postgres_url(url)
        self._prepare = prepare
        self._clock = clock
        self._threads = ThreadPoolExecutor(
            _THREADS if self.postgres else 1, thread_name_prefix="goals"
        )
        self._engine: Engine | None = None
        self._connecting = asyncio.Lock()

    @property
    def there(self) -> bool:
        """Whether there may be anything in it: a file that nobody has made holds nothing."""
        return self.postgres or self.path.exists()

    async def do(self, work: Callable[[Transaction], T]) -> T:
        """Something in one transaction, tried again where others were in the way."""
        loop = asyncio.get_running_loop()
        if self._engine is None:
            async with self._connecting:
                if self._engine is None:
                    self._engine = await loop.run_in_executor(self._threads, self._connect)
        return await loop.run_in_executor(self._threads, self._do, self._engine, work)

    async def wipe(self) -> None:
        """Leave no byte of what was deleted in the file; Postgres's vacuum does that by itself."""
        if self.postgres or self._engine is None:
            return

        def vacuum() -> None:
            with sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None) as file:
                file.execute("VACUUM")
                file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            file.close()

        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, vacuum)
        except sqlite3.Error as error:
            raise explain(self.path, error) from error

    async def close(self) -> None:
        """Finish what was begun and let go of it for good."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, engine.dispose)
        self._threads.shutdown(wait=False)

    def _connect(self) -> "Engine":
        # SQLAlchemy takes 0.2 s to import, which nobody waits for who has no goals.
        import sqlalchemy  # noqa: PLC0415

        if self._url is None:
            engine = sqlalchemy.create_engine(_new_file(self.path), poolclass=sqlalchemy.StaticPool)
            sqlalchemy.event.listen(engine, "connect", _pragmas)
            sqlalchemy.event.listen(engine, "begin", _begin_immediate)
        else:
            engine = sqlalchemy.create_engine(
                self._url, pool_size=_THREADS, max_overflow=0, connect_args=_patience(self._url)
            )
            sqlalchemy.event.listen(engine, "connect", _own_schema)
        try:
            self._do(engine, self._prepare)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _do(self, engine: "Engine", work: Callable[[Transaction], T]) -> T:
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 (see _connect)

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with engine.begin() as connection:
                    return work(Transaction(connection, self.postgres, self._clock))
            except SQLAlchemyError as error:
                if attempt == _ATTEMPTS or not _worth_another(error):
                    raise self._explained(error) from error
            time.sleep(random.uniform(0.5, 1.5) * _PAUSE_S * attempt)
        raise AssertionError("unreachable")

    def _explained(self, error: Exception) -> StoreError:
        cause = getattr(error, "orig", None) or error
        if not self.postgres:
            return explain(self.path, cause if isinstance(cause, Exception) else error)
        reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        return StoreError(
            "The goals' database at VIRTUOUS6_ENGINE_URL cannot be used just now "
            f"({reason}). See that Postgres is running and that its user may create and use the "
            f"schema {SCHEMA}. Nothing was half-written."
        )


@lru_cache(maxsize=256)
def _text(sql: str) -> "TextClause":
    from sqlalchemy import text  # noqa: PLC0415 (see Sql._connect)

    return text(sql)


def postgres_url(url: str) -> str:
    """The address as SQLAlchemy and DBOS want it. Raises ConfigurationError for another one."""
    kind, sign, rest = url.partition("://")
    if not sign or kind not in _POSTGRES:
        raise ConfigurationError(
            "VIRTUOUS6_ENGINE_URL must be the address of a Postgres, such as "
            "postgresql://user:password@host:5432/database. Unset it to keep goals in a file."
        )
    return f"postgresql+psycopg://{rest}"


def _patience(url: str) -> dict[str, int]:
    """A server that cannot be reached keeps nobody waiting for minutes, unless the address says."""
    return {} if "connect_timeout=" in url else {"connect_timeout": CONNECT_S}


def _new_file(path: Path) -> str:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise explain(path, error) from error
    return f"sqlite:///{path}"


def _pragmas(connection: Any, _: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves
    for pragma in (
        f"busy_timeout = {int(BUSY_SECONDS * 1000)}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: "Connection") -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _own_schema(connection: Any, _: object) -> None:
    connection.execute(f"SET search_path TO {SCHEMA}")
    connection.commit()


def _worth_another(error: Exception) -> bool:
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) in _AGAIN or bool(
        getattr(error, "connection_invalidated", False)
    )
