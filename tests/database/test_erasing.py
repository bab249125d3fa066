"""A workspace that sent us away leaves nothing behind, and its neighbour keeps everything."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from database.coordination import Coordination
from database.engine import ENGINE, Engine
from database.records import PUBLIC, Feedback, Message, Person, Reader, Run, Step, Summary
from database.store import RECORD, Store

THREAD = "1700000000.000100"


async def fill(store: Store, engine: Engine, secret: str) -> None:
    """The word in every kind of row."""
    run = Run("r1", f"say {secret}", "a", started_at=1.7e9, user_id="U0ADA", channel_id="C1",
              reply=secret, steps=(Step(0, "tool", "search", {"words": secret}),))  # fmt: skip
    store.append(
        run,
        Message("C1", THREAD, THREAD, "person", f"say {secret}", "U0ADA", created_at=1.7e9),
        Summary("C1", THREAD, THREAD, f"about {secret}", PUBLIC, 1.0),
        Feedback("f1", "r1", "better", -1.0, text=secret, user_id="U0ADA", created_at=1.0),
    )
    await store.create_document("runbook", secret, {"steps": [secret]}, origin="user")
    await store.save_person(Person("U0ADA", secret))
    await store.policy.add("speak", secret, "U0ADA")
    rows = Coordination(engine, store.workspace)
    await rows.accept("e1", f"C1:{secret}", b"payload")
    await rows.note_send("r1", "intent", secret)
    await rows.queue_post("p1", secret, b"body")
    await rows.keep_post("p0", secret, "1.2", "p0")
    await rows.claim(f"hello:{secret}", 3600)


def rows_of(file: Path, workspace: str) -> dict[str, int]:
    """How many rows each table has of a workspace."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        sql = """SELECT t.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c
            WHERE t.type = 'table' AND c.name = 'workspace'"""
        tables = [name for (name,) in connection.execute(sql)]
        count = "SELECT count(*) FROM {} WHERE workspace = ?"
        found = {
            name: connection.execute(count.format(name), (workspace,)).fetchone()[0]
            for name in tables
        }
    return {name: count for name, count in found.items() if count}


async def test_one_workspace_is_erased_to_the_last_byte(tmp_path: Path) -> None:
    engine = Engine.open(tmp_path)
    gone, stays = Store.open(tmp_path, "T0GONE"), Store.open(tmp_path, "T0STAYS")
    await fill(gone, engine, "heliotrope")
    await fill(stays, engine, "periwinkle")
    files = (tmp_path / RECORD, tmp_path / ENGINE)
    before = [rows_of(file, "T0STAYS") for file in files]
    assert {"runs", "steps", "messages", "documents", "people", "policy"} <= before[0].keys()
    assert before[1].keys() == {"inbox", "sends", "outgoing", "claims", "kept_posts"}

    deleted = await gone.erase()
    assert await Coordination(engine, "T0GONE").erase() == 5
    assert deleted["runs"] == deleted["messages"] == 1
    assert [rows_of(file, "T0GONE") for file in files] == [{}, {}]
    assert [rows_of(file, "T0STAYS") for file in files] == before
    for file in tmp_path.iterdir():
        assert b"heliotrope" not in file.read_bytes(), file.name
        assert b"T0GONE" not in file.read_bytes(), file.name
    found = await stays.search_messages("periwinkle", Reader("U0ADA"))
    assert [message.text for message in found] == ["say periwinkle"]
    assert await gone.search_messages("heliotrope", Reader("U0ADA")) == []
    for store in (gone, stays):
        await store.close()
    await engine.close()


@pytest.mark.parametrize("times", [1, 2])
async def test_erasing_what_is_not_there_changes_nothing(tmp_path: Path, times: int) -> None:
    store = Store.open(tmp_path, "T0NEVER")
    for _ in range(times):
        assert await store.erase() == {}
    await store.close()
