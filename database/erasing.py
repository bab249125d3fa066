"""Deleting all that was kept of a workspace which sent us away."""

import sqlite3
from collections.abc import Mapping

from database.sqlite_file import SqliteFile, wipe

_STAYING = frozenset({"outbox", "outbox_on"})
"""Keys without texts: what was sent to Supabase is deleted there by these."""
_DERIVED = ("day_counts", "changed_days", "document_changes")
"""Triggers write these while the others are deleted."""


def erase(file: SqliteFile, workspace: str) -> Mapping[str, int]:
    """Delete every row of a workspace in one transaction, then every byte; rows by table."""
    return file.on_own_connection(lambda connection: _erase(connection, workspace))


def _erase(connection: sqlite3.Connection, workspace: str) -> Mapping[str, int]:
    found = _tables(connection)
    tables = [*(table for table in found if table not in _DERIVED), *_DERIVED]
    connection.execute("BEGIN IMMEDIATE")
    deleted = {table: _delete(connection, table, workspace) for table in tables if table in found}
    connection.execute("INSERT INTO message_words (message_words) VALUES ('rebuild')")
    connection.execute(
        "UPDATE search_progress SET seq = (SELECT coalesce(max(seq), 0) FROM messages)"
    )
    connection.execute("COMMIT")
    wipe(connection)
    return {table: count for table, count in deleted.items() if count}


def _delete(connection: sqlite3.Connection, table: str, workspace: str) -> int:
    return connection.execute(f"DELETE FROM {table} WHERE workspace = ?", (workspace,)).rowcount


def _tables(connection: sqlite3.Connection) -> list[str]:
    """Those whose rows belong to a workspace."""
    sql = """SELECT tables.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS info
        WHERE tables.type = 'table' AND info.name = 'workspace' ORDER BY tables.name"""
    names = [row["name"] for row in connection.execute(sql)]
    return [name for name in names if name not in _STAYING]
