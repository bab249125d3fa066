"""Supabase's lite server over a real PostgreSQL, both on this machine and of this process only.

This is not Supabase's own PostgREST: what is shown on it is shown on "lite". Differences that are
known stand in supabase/README.md.
"""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Self

import psycopg
import pytest

from tests.node_packages import NODE
from tests.patience import PATIENCE_S
from tests.postgres import Postgres
from tests.supabase_server.install import LITE

_DATABASE = "lite"
_OWN = "VIRTUOUS6_TESTS_SUPABASE_"

# What a hosted project has before our migrations; lite adds its own on top.
_LIKE_HOSTED = """
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public
    grant all on sequences to anon, authenticated, service_role;
alter default privileges in schema public
    grant execute on functions to anon, authenticated, service_role;
"""

_CONFIG = """
[api]
port = {port}
aggregates_enabled = true
[db]
driver = "postgres"
url = "postgresql:///{database}"
[db.migrations]
enabled = false
[auth]
enabled = true
jwt_secret = "virtuous6-tests-only-0123456789-abcdefghij"
publishable_key = "env(SUPABASE_PUBLISHABLE_KEY)"
secret_key = "env(SUPABASE_SECRET_KEY)"
"""


class SupabaseServer:
    """A context manager: PostgreSQL and lite while it is open, nothing of them afterwards.

    The database is like a hosted project's before our migrations; `database_url` is what
    SUPABASE_DB_URL would be.
    """

    publishable_key = "sb_publishable_0123456789ABCDEFGHIJKL_tests000"
    secret_key = "sb_secret_0123456789ABCDEFGHIJKLMN_tests000"

    def __init__(self) -> None:
        self._rest: subprocess.Popen[bytes] | None = None
        self._port = _free_port()

    @property
    def url(self) -> str:
        """What SUPABASE_URL would be."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        if not LITE.installed():
            raise RuntimeError(
                "Supabase's lite server is missing: run `python -m tests.supabase_server.install`."
            )
        with ExitStack() as stack:
            self._postgres = stack.enter_context(Postgres())
            self._prepare()
            self._kept = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_rest()
        self._kept.close()

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the database's owner, each statement by itself."""
        return psycopg.connect(self.database_url, autocommit=True)

    @property
    def running(self) -> bool:
        """Whether lite is there."""
        return self._rest is not None

    def start_rest(self) -> None:
        """Start lite, and wait until it answers."""
        folder = self._postgres.folder
        log = folder / "lite.log"
        environment = {
            **os.environ,
            "LITE_TELEMETRY": "0",
            "DO_NOT_TRACK": "1",
            "PGHOST": str(self._postgres.socket),
            "PGUSER": "postgres",
            "SUPABASE_PUBLISHABLE_KEY": self.publishable_key,
            "SUPABASE_SECRET_KEY": self.secret_key,
        }
        with log.open("ab") as output:
            self._rest = subprocess.Popen(
                [NODE, LITE.script, "start", "--no-admin"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            if self._rest.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Lite did not start:\n{log.read_text()}")
            time.sleep(0.02)

    def stop_rest(self) -> None:
        """Kill lite (-9), as when Supabase is away; the database stays."""
        if self._rest is not None:
            self._rest.kill()
            self._rest.wait()
            self._rest = None

    def _prepare(self) -> None:
        self.database_url = self._postgres.database(_DATABASE)
        with self.connect() as connection:
            connection.execute(_LIKE_HOSTED.encode())
        config = self._postgres.folder / "supabase" / "config.toml"
        config.parent.mkdir()
        config.write_text(_CONFIG.format(port=self._port, database=_DATABASE))

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/rest/v1/", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False


class OwnStack:
    """A stack of Supabase's own that is running somewhere, with the same face as SupabaseServer.

    Its tables are emptied by the tests. It cannot be taken away; tests that need that are skipped.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.url = environment[f"{_OWN}URL"]
        self.database_url = environment[f"{_OWN}DB_URL"]
        self.secret_key = environment[f"{_OWN}KEY"]
        self.publishable_key = environment[f"{_OWN}PUBLISHABLE_KEY"]
        self.running = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """It goes on."""

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the database's owner, each statement by itself."""
        return psycopg.connect(self.database_url, autocommit=True)

    def start_rest(self) -> None:
        """It runs."""

    def stop_rest(self) -> None:
        """It cannot be taken away."""
        pytest.skip("Supabase's own stack is not stopped for a test.")


def server_of(environment: Mapping[str, str]) -> SupabaseServer | OwnStack:
    """Lite, unless the environment names a stack of Supabase's own (see supabase/README.md)."""
    return OwnStack(environment) if f"{_OWN}URL" in environment else SupabaseServer()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
