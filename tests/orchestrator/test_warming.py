"""The first answer need not wait for what could be read before."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agents.tools import CATALOGUE
from agents.turns import ModelEvent, Turn
from agents.universal_agent import UniversalAgent
from database.records import RunQuery
from database.store import Store
from orchestrator.warming import WarmUp
from tests.orchestrator.conftest import House
from tests.orchestrator.fakes import GENERAL, ScriptedModels, away, request
from tests.patience import PATIENCE_S


class SlowReader(ScriptedModels):
    """Reads for a second time only, so that a first call has to be given up."""

    async def stream(self, turns: Sequence[Turn], **more: Any) -> AsyncIterator[ModelEvent]:
        async for event in super().stream(turns, **more):
            if len(self.asked) == 1:
                await asyncio.Event().wait()
            yield event


async def test_the_prompt_is_read_and_nothing_is_recorded(store: Store) -> None:
    models = ScriptedModels(lambda turns, model: "Hello, what a long answer this is")
    house = await House(store, models).start()
    await asyncio.wait_for(WarmUp(UniversalAgent(GENERAL, models, CATALOGUE)).start(), PATIENCE_S)
    await house.ask(request("What now?"))
    read, asked = ([turn.text for turn in turns] for _, turns in models.asked)
    assert read[:-1] == asked[:-1] != []
    assert await store.runs(RunQuery(kinds=("reply", "task", "review"))) == []


async def test_whoever_asks_first_ends_it(store: Store) -> None:
    models = SlowReader(lambda turns, model: "Hello")
    warm = WarmUp(UniversalAgent(GENERAL, models, {}))
    house = await House(store, models, before_reply=warm.stop).start()
    reading = warm.start()
    await asyncio.sleep(0)
    assert await house.ask(request("What now?"))
    await asyncio.wait([reading], timeout=PATIENCE_S)
    assert reading.cancelled()
    warm.stop()


async def test_a_model_that_is_away_is_left_alone() -> None:
    warm = WarmUp(UniversalAgent(GENERAL, ScriptedModels(away), {}))
    await asyncio.wait_for(warm.start(), PATIENCE_S)
