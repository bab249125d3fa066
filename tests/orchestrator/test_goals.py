"""The goals of a process, wired."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.errors import StoreError
from database.records import PUBLIC, Reader, one_person, private_channel
from goals import sql
from goals.ledger import Ledger
from orchestrator import goals
from orchestrator.goals import AssistantGoals, GoalWorks
from orchestrator.resource_pool import ResourcePool
from orchestrator.settings import load_settings
from tests.goals.managed import ADA, GOAL, Chronicle, Hands, Plan, Queue, Rules
from tests.goals.standins import WORKSPACE, Asked, until
from tests.orchestrator.fakes import ScriptedModels
from tests.patience import PATIENCE_S


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"postgresql://nobody@127.0.0.1:{listening.getsockname()[1]}/goals"


def works(home: Path, url: str | None) -> GoalWorks:
    settings = load_settings(virtuous6_home=home, virtuous6_engine_url=url)
    return GoalWorks(settings, ResourcePool(ScriptedModels(lambda turns, _: "ok"), 4))


async def test_who_answers_people_starts_although_the_engine_is_away(
    home: Path, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "CONNECT_S", 2)
    made = works(home, silent)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await made.start()
            assert not made.launched
    finally:
        await made.stop()
        await made.close()


async def test_what_was_away_at_the_start_is_asked_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goals, "_AGAIN_SECONDS", 0.01)
    made = works(home, None)
    database = home / "goals.db"
    database.mkdir()  # no file: it can be neither read nor made
    try:
        with pytest.raises(StoreError, match=r"goals\.db"):
            await made.start(always=True)
        await made.start()
        database.rmdir()
        async with asyncio.timeout(PATIENCE_S):
            assert made._starting is not None
            await made._starting
    finally:
        await made.stop()
        await made.close()


async def test_nobody_waits_for_a_workspace_that_is_closed(home: Path) -> None:
    """Who works on attempts has better things to do; they are put off."""
    made = works(home, None)
    try:
        async with asyncio.timeout(PATIENCE_S / 2):
            with pytest.raises(StoreError, match="T9 is not open here"):
                await made._ready("T9")
    finally:
        await made.stop()
        await made.close()


async def test_rights_are_asked_each_minute_and_whoever_is_silent_grants_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goals, "_RIGHTS_WITHIN_S", 0.05)
    monkeypatch.setattr(goals, "_RIGHTS_EACH_S", 0.02)
    ledger = Ledger.open(home)
    made = AssistantGoals(ledger.of(WORKSPACE), Queue(), Hands(), Plan(), Rules(), Chronicle())
    mine, theirs = private_channel("C1"), private_channel("C2")
    answers = asyncio.Event()

    async def ask(person: str, channel: str) -> Reader:
        assert (person, channel) == (ADA, "D1")
        await answers.wait()
        return Reader(ADA, frozenset({"C1"}))

    async def reads(*audiences: str) -> bool:
        found = await made.goal(GOAL)
        return found is not None and found.reader.audiences() == set(audiences)

    everything = Reader(ADA, frozenset({"C1", "C2"}))
    direct = one_person(ADA)
    await made.begin(Asked("r1", ADA, "D1", reader=everything, audience=direct))
    assert await reads(PUBLIC, direct, mine, theirs)
    made.ask_readers_of(ask)
    watching = asyncio.create_task(made.watch())
    try:
        await until(lambda: reads(PUBLIC, direct))
        answers.set()
        await until(lambda: reads(PUBLIC, direct, mine))
    finally:
        watching.cancel()
        await made.close()
        await ledger.close()
