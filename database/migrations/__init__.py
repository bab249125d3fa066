"""The steps that bring a database file to what the code expects: named, ordered, append-only.

Each family (`record`, `engine`) is a folder of `NNNN_name.sqlite.sql` files. A step that was ever
released is never changed; a new one is added behind it.
"""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from database.errors import MigrationError, StoreError

Family = Literal["record", "engine"]

_APPLICATION_IDS: dict[Family, int] = {"record": 0x56360001, "engine": 0x56360002}
_SUFFIX = ".sqlite.sql"
_JOURNAL = """CREATE TABLE IF NOT EXISTS schema_migrations (
    name TEXT NOT NULL PRIMARY KEY, applied_at REAL NOT NULL
) STRICT"""


def steps(family: Family) -> dict[str, str]:
    """Name -> SQL of every step of a family, in the order in which they are applied."""
    folder = Path(__file__).parent / family
    files = sorted(folder.glob(f"*{_SUFFIX}"))
    return {file.name.removesuffix(_SUFFIX): file.read_text(encoding="utf-8") for file in files}


def applied(connection: sqlite3.Connection) -> list[str]:
    """Names of the steps that this database has had, in order."""
    if not _has_table(connection, "schema_migrations"):
        return []
    rows = connection.execute("SELECT name FROM schema_migrations ORDER BY name")
    return [name for (name,) in rows]


def migrate(connection: sqlite3.Connection, family: Family, where: Path) -> list[str]:
    """Apply the steps that are missing, each in one transaction, and return their names.

    The connection must be in autocommit mode. Raises StoreError when the file belongs to another
    program and MigrationError when it was written by newer code or a step fails; a step that fails
    leaves nothing behind.
    """
    _refuse_foreign(connection, family, where)
    known = steps(family)
    _refuse_newer(connection, known, where)
    missing = [name for name in known if name not in applied(connection)]
    return [name for name in missing if _apply(connection, family, name, known[name])]


def _refuse_foreign(connection: sqlite3.Connection, family: Family, where: Path) -> None:
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and found != _APPLICATION_IDS[family]:
        raise StoreError(
            f"{where} is a database of something else. Move it away, or set VIRTUOUS6_HOME to "
            "another folder."
        )


def _refuse_newer(connection: sqlite3.Connection, known: dict[str, str], where: Path) -> None:
    unknown = [name for name in applied(connection) if name not in known]
    if unknown:
        raise MigrationError(
            f"{where} was written by a newer version of this program (step {unknown[-1]}). "
            "Update the program, or set VIRTUOUS6_HOME to another folder. Nothing was changed."
        )


def _apply(connection: sqlite3.Connection, family: Family, name: str, sql: str) -> bool:
    """False when another process applied the step while this one waited for its turn."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_JOURNAL)
        if name in applied(connection):
            connection.execute("ROLLBACK")
            return False
        for statement in _statements(sql):
            connection.execute(statement)
        connection.execute("INSERT INTO schema_migrations VALUES (?, ?)", (name, time.time()))
        connection.execute(f"PRAGMA application_id = {_APPLICATION_IDS[family]}")
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        connection.execute("ROLLBACK")
        raise MigrationError(
            f"Step {name} of the database failed: {error}. Nothing was changed; go back to the "
            "version that wrote this database, and report this."
        ) from error
    return True


def _statements(sql: str) -> Iterator[str]:
    """The statements of a script one by one; a trigger with its inner semicolons is one."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None
