"""The record that learning's cost is measured on: a long history, and ten thousand new runs."""

import contextlib
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from database.records import Feedback, Outcome, Run, Step
from database.sqlite_backend import tidy_up
from database.sqlite_file import SqliteFile
from database.store import RECORD

NEW, SAID = 10_000, 1_000
DAY = 86_400
_EVERY_S = 7.6
"""A million runs in 88 days: texts are kept for ninety."""
TOOLS = ("search_messages", "read_file", "calculator", "date_time")
_ASKED = ("summarise the thread about {}", "what did we decide on {}", "convert {} euros",
          "write a note on {}", "when is the review of {}")  # fmt: skip

_OLD = """
    INSERT INTO runs (workspace, run_id, kind, audience, agent, model, user_id, channel_id, request,
        reply, started_at, duration_ms, input_tokens, output_tokens, cost_usd, day)
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
    SELECT :workspace, 'old' || n, 'reply', 'public', 'agent' || (n % 8), 'fast', 'U' || (n % 40),
        'C' || (n % 12), 'what about ' || n, 'that ' || n, :now - n * :every, 300.0 + n % 4000,
        500 + n % 900, 50 + n % 300, 0.0001 * (n % 70), CAST((:now - n * :every) / 86400 AS INTEGER)
    FROM numbers"""


def fill(home: Path, workspace: str, history: int) -> None:
    """Runs of the last weeks, made by the database itself."""
    SqliteFile(home / RECORD, "record").close()
    values = {"workspace": workspace, "last": history - 1, "now": time.time() - DAY,
              "every": _EVERY_S}  # fmt: skip
    with contextlib.closing(sqlite3.connect(home / RECORD, isolation_level=None)) as connection:
        connection.execute(_OLD, values)
        connection.row_factory = sqlite3.Row
        while tidy_up(connection):
            pass
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def new_facts() -> Iterator[Run | Feedback]:
    """What happened today: a few kinds of requests, their tools, failures and what people said."""
    chance = random.Random(1)
    for number in range(NEW):
        kind = chance.randrange(len(_ASKED))
        failed = chance.random() < 0.05
        tools = [TOOLS[kind % 4], TOOLS[(kind + 1) % 4]]
        steps = (
            Step(0, "model", "fast", None, True, None, 500.0, 700, 90, 0.0003),
            Step(1, "tool", tools[0], {"words": f"budget {number % 50}"}, True, None, 20.0),
            Step(2, "tool", tools[1], {"n": number}, not failed,
                 f"timed out after {number} ms" if failed else None, 30.0),
        )  # fmt: skip
        yield Run(
            f"new{number}", _ASKED[kind].format(number % 200), f"agent{kind}", model="fast",
            agent_version="v1", task_type=f"kind-{kind}", user_id=f"U{number % 40}",
            channel_id=f"C{number % 12}", started_at=time.time() - NEW + number,
            duration_ms=900.0, input_tokens=700, output_tokens=90, cost_usd=0.0003,
            reply="It says so. " * 20, steps=steps,
            outcome=Outcome(not failed, source="check") if number % 3 == 0 else Outcome(),
        )  # fmt: skip
    for number in range(SAID):
        value = chance.choice((1.0, 1.0, -1.0))
        yield Feedback(f"said{number}", f"new{number * 7}", "rating", value,
                       user_id=f"U{number % 40}", created_at=time.time())  # fmt: skip
