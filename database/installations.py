"""Who installed the app, with the tokens they gave: rows of the engine database, encrypted."""

import contextlib
import json
import sqlite3
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from database.engine import ENGINE, Engine, opened


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation. `holder` is a workspace's id or, with `org`, an organisation's.

    Without a `refresh_token` the token does not expire. Times are seconds since 1970.
    """

    holder: str
    name: str
    bot_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_at: float | None = None
    org: bool = False
    enterprise_id: str = ""
    installer: str = ""
    scopes: tuple[str, ...] = ()
    installed_at: float = 0.0


def read_installations(home: Path, secret_key: str | None = None) -> list[Installation]:
    """Those on disk, while nobody need have opened the file; changes nothing.

    Raises ConfigurationError when they were encrypted with another key.
    """
    if not (home / ENGINE).is_file():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{home / ENGINE}?mode=ro", uri=True)) as file:
        try:
            rows = file.execute("SELECT sealed FROM installations ORDER BY holder").fetchall()
        except sqlite3.DatabaseError:
            return []  # older, or damaged: `db check` says so
    return [_read(opened(home, secret_key, sealed)) for (sealed,) in rows]


def _read(text: bytes) -> Installation:
    fields = json.loads(text)
    return Installation(**{**fields, "scopes": tuple(fields["scopes"])})


class InstallationRows:
    """What is known of installations. Every method may raise StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def clock(self) -> float:
        """Now, in seconds since 1970."""
        return self._engine.clock()

    def installations(self) -> list[Installation]:
        """All of them. Raises ConfigurationError when they were encrypted with another key."""
        rows = self._engine.rows("SELECT sealed FROM installations ORDER BY holder")
        return [self._opened(row["sealed"]) for row in rows]

    def installation(self, holder: str) -> Installation | None:
        """The one of this workspace or organisation, as any process saved it last."""
        rows = self._engine.rows("SELECT sealed FROM installations WHERE holder = ?", (holder,))
        return self._opened(rows[0]["sealed"]) if rows else None

    async def save(self, installation: Installation) -> None:
        """Add or replace."""
        text = json.dumps(asdict(installation)).encode()
        sealed, holder = self._engine.seal(text), installation.holder
        sql = """INSERT INTO installations (holder, sealed) VALUES (?, ?)
            ON CONFLICT DO UPDATE SET sealed = excluded.sealed"""
        await self._engine.queue(sql, (holder, sealed))

    def served(self) -> dict[str, str]:
        """The workspaces that an organisation's installation serves, each with the holder."""
        rows = self._engine.rows("SELECT workspace, holder FROM served ORDER BY workspace")
        return {row["workspace"]: row["holder"] for row in rows}

    async def serve(self, workspace: str, holder: str) -> None:
        """Note that this organisation's installation serves a workspace."""
        sql = """INSERT INTO served (workspace, holder) VALUES (?, ?)
            ON CONFLICT DO UPDATE SET holder = excluded.holder"""
        await self._engine.queue(sql, (workspace, holder))

    async def depart(self, holder: str, *, sure: bool) -> None:
        """Note that they sent us away, or perhaps did: on disk when this returns."""
        sql = """INSERT INTO departures (holder, noted_at, sure) VALUES (?, ?, ?)
            ON CONFLICT DO UPDATE SET sure = max(sure, excluded.sure)"""
        await self._engine.queue(sql, (holder, self._engine.clock(), sure))

    def departures(self) -> dict[str, bool]:
        """Who sent us away and is not settled with, and whether that is sure."""
        rows = self._engine.rows("SELECT holder, sure FROM departures ORDER BY holder")
        return {row["holder"]: bool(row["sure"]) for row in rows}

    async def stay(self, holder: str) -> None:
        """They did not send us away after all."""
        await self._engine.queue("DELETE FROM departures WHERE holder = ?", (holder,))

    async def drop(self, holder: str) -> None:
        """Delete an installation, its tokens and its departure, and every byte of them.

        `holder` may also be one workspace of an organisation: then the others stay served.
        """

        def delete(connection: sqlite3.Connection) -> None:
            for table in ("installations", "served", "departures"):
                connection.execute(f"DELETE FROM {table} WHERE holder = ?", (holder,))
            connection.execute("DELETE FROM served WHERE workspace = ?", (holder,))

        await self._engine.do(delete)
        await self._engine.wipe()

    async def forget(self, workspace: str, user_id: str) -> None:
        """Nobody knows any more that this person installed the app there."""
        installation = self.installation(self.served().get(workspace, workspace))
        if installation and installation.installer == user_id:
            await self.save(replace(installation, installer=""))

    async def once(self, what: str, ttl: float) -> bool:
        """True for one caller only, over all processes, until `ttl` seconds have passed."""
        return await self._engine.claim("", what, ttl)

    async def again(self, what: str) -> None:
        """The next caller may have its turn before that."""
        await self._engine.release("", what)

    def seal(self, text: str) -> str:
        """Encrypted and signed; fit for an address."""
        return self._engine.seal(text.encode()).decode().rstrip("=")

    def unseal(self, sealed: str, max_age: float) -> str | None:
        """The reverse; None where it is not ours or older than `max_age` seconds."""
        padded = sealed + "=" * (-len(sealed) % 4)
        found = self._engine.unseal_fresh(padded.encode(), max_age)
        return None if found is None else found.decode()

    def _opened(self, sealed: bytes) -> Installation:
        return _read(self._engine.unseal(sealed))
