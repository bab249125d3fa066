"""What replies take while Supabase answers, and while it is away: part of `benchmarks.store`.

A person in the local workspace asks, one question after the other, and reads the finished answer:
the real program in a process of its own, a scripted model on loopback that answers at once, the
record at Supabase's lite server on this machine.

- with: Supabase is there all the time.
- without: it is away from the first question on, there for an eighth of them in the middle, and
  killed again; the program is killed (-9) twice, each time between two questions, and starts while
  Supabase is away. When that is back in the end, every row of the local record must be there
  exactly once.
"""

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.message_overhead import (
    ANSWER,
    ROOT,
    Reader,
    environment_of,
    lift_limits,
    load,
    unpaced_workspace,
    until_connected,
)
from database.outbox_rows import KEYS
from database.store import RECORD
from slack_interface.local_workspace import LocalWorkspace
from tests.model_server.server import ScriptedModel, answer
from tests.supabase_server.server import SupabaseServer

WARM_UP = 20
"""Questions after each start of the program that are not counted."""
DRAIN_SECONDS = 300.0
_COMMAND = (sys.executable, "virtuous6.py", "serve", "--mode", "socket")
_WAITING = "SELECT count(*) FROM outbox WHERE problem IS NULL"


@dataclass(frozen=True, slots=True)
class Replies:
    """Milliseconds of every question; rows of the local record, and how many arrived, twice."""

    took_ms: list[float]
    rows_here: int
    rows_there: int
    rows_twice: int


class Program:
    """The assistant in a process of its own, on one home, with somebody who asks it."""

    def __init__(self, workspace: LocalWorkspace, environment: dict[str, str]) -> None:
        self._workspace = workspace
        self._environment = environment
        home = Path(environment["VIRTUOUS6_HOME"])
        self._log = (home / "program.log").open("ab")
        self.took_ms: list[float] = []

    async def start(self) -> None:
        """Connected, and warm."""
        self._process = await asyncio.create_subprocess_exec(
            *_COMMAND, cwd=ROOT, env=self._environment, stdout=self._log, stderr=self._log
        )
        await until_connected(self._workspace, self._process)
        await self._asked(WARM_UP)

    async def asked(self, questions: int) -> None:
        """So many questions, one after the other."""
        self.took_ms += await self._asked(questions)

    async def _asked(self, questions: int) -> list[float]:
        reader = Reader(self._workspace, "U0ADA")
        watching = asyncio.create_task(reader.watch())
        try:
            async with httpx.AsyncClient(base_url=self._workspace.url, timeout=60) as client:
                return (await load(client, reader, questions, 1))[0]
        finally:
            watching.cancel()

    async def kill(self) -> None:
        """-9."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        # The workspace must have seen that the connection is gone, or it waits for its answers.
        await asyncio.sleep(0.5)

    async def end(self) -> None:
        """As Ctrl-C ends it."""
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        self._log.close()


@contextlib.asynccontextmanager
async def _program(server: SupabaseServer) -> AsyncIterator[tuple[Program, Path]]:
    """Not started yet; Supabase must be there, as policy is decided there."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with (
            unpaced_workspace() as workspace,
            ScriptedModel([answer(ANSWER)], chunk_size=4) as model,
        ):
            environment = environment_of(workspace, model.base_url, home)
            environment["SUPABASE_URL"] = server.url
            environment["SUPABASE_SERVICE_ROLE_KEY"] = server.secret_key
            await lift_limits(environment)
            program = Program(workspace, environment)
            try:
                yield program, home
            except BaseException:
                sys.stderr.write((home / "program.log").read_text(errors="replace")[-3000:])
                raise
            finally:
                await program.end()


async def beside(server: SupabaseServer, questions: int) -> Replies:
    """Supabase is there all the time."""
    async with _program(server) as (program, home):
        await program.start()
        await program.asked(questions)
        await _drained(home)
        return _counted(program, home, server)


async def away(server: SupabaseServer, questions: int) -> Replies:
    """The story of the module's docstring."""
    part = questions // 8
    async with _program(server) as (program, home):
        await program.start()
        server.stop_rest()
        await program.asked(2 * part)
        await program.kill()
        await program.start()
        await program.asked(2 * part)
        await asyncio.to_thread(server.start_rest)
        await program.asked(part)
        server.stop_rest()
        await program.asked(part)
        await program.kill()
        await program.start()
        await program.asked(questions - 6 * part)
        await asyncio.to_thread(server.start_rest)
        await _drained(home)
        return _counted(program, home, server)


async def _drained(home: Path) -> None:
    """Until nothing waits to be sent any more, three looks in a row: work after a reply counts."""
    quiet = 0
    async with asyncio.timeout(DRAIN_SECONDS):
        while quiet < 3:
            await asyncio.sleep(0.5)
            with contextlib.closing(_opened(home)) as connection:
                (waiting,) = connection.execute(_WAITING).fetchone()
            quiet = 0 if waiting else quiet + 1


def _opened(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{home / RECORD}?mode=ro", uri=True, timeout=30)


def _counted(program: Program, home: Path, server: SupabaseServer) -> Replies:
    here = there = different = 0
    with contextlib.closing(_opened(home)) as connection, server.connect() as far:
        for table, key in KEYS.items():
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            sql = f"select count(*), count(distinct ({', '.join(key)})) from {table}"
            [(arrived, distinct)] = far.execute(sql.encode()).fetchall()
            here, there, different = here + count, there + arrived, different + distinct
    return Replies(program.took_ms, here, there, there - different)
