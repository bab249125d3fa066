"""The learning loop beside an assistant: how it begins."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from database.coordination import Coordination
from database.engine import Engine
from database.store import Store
from orchestrator.improving import Learning, beside_an_assistant
from orchestrator.policy import Policy
from orchestrator.settings import Settings
from orchestrator.trials.background import Background
from tests.orchestrator.conftest import House
from tests.orchestrator.fakes import ScriptedModels, request


@pytest.fixture
async def house(store: Store) -> House:
    return await House(store, ScriptedModels(lambda *_: "With water.")).start()


@pytest.fixture
async def learning(tmp_path: Path, store: Store, house: House) -> AsyncIterator[Learning]:
    engine = Engine.open(tmp_path, None)
    made = beside_an_assistant(
        Settings(), store, Coordination(engine, "T1"), Policy(store.policy), house.bus, house.pool,
        house.consent, house.models, embedder=house.embedder, tools={}, redactor=house.redactor,
        background=Background(), next_run=lambda _: None,
    )  # fmt: skip
    yield made
    await made.stop()
    await house.bus.drain()
    await engine.close()


def rename(home: Path, old: str, new: str) -> None:
    with sqlite3.connect(home / "record.db") as connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
    connection.close()


async def test_learning_that_cannot_begin_leaves_answers_alone_and_is_tried_again(
    tmp_path: Path, store: Store, house: House, learning: Learning
) -> None:
    rename(tmp_path, "trials", "lost")
    await learning.start(house.bus)
    assert "cannot be read" in (await learning.loop.report.status()).because
    answered = await house.answer(request("how do I cook rice", "1.0"), "1.5")
    assert answered.run.reply == "With water."
    assert await house.store.run(answered.run.run_id)
    await learning.each_minute()
    assert learning.loop.report.trouble

    rename(tmp_path, "lost", "trials")
    await learning.each_minute()
    status = await learning.loop.report.status()
    assert (status.switch, status.because) == ("on", "")
