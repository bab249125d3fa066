"""What was learned from somebody is not used any more once they decline."""

from collections.abc import Sequence

from agents.errors import ModelUnavailable
from agents.turns import Turn
from database.records import Feedback, Person
from database.store import Store
from orchestrator.requests import ReplyFinished
from tests.orchestrator.conftest import House
from tests.orchestrator.fakes import Say, ScriptedModels, agent, request


def echo(turns: Sequence[Turn], model: str) -> Say:
    return f"You said {turns[-1].text}"


async def chosen(house: House, ts: str) -> str:
    """Who answers after the clock has struck."""
    await house.orchestrator.learn_what_worked()
    finished = (await house.ask(request("book a trip by train", ts)))[-1]
    assert isinstance(finished, ReplyFinished)
    return finished.run.agent


async def test_routing_unlearns_what_it_learned_from_who_declines(store: Store) -> None:
    north = agent("north", "book a trip to the north by train")
    south = agent("south", "book a trip to the south by train")
    house = await House(store, ScriptedModels(echo)).start(north, south)
    house.models.structured_answers = [ModelUnavailable("no")] * 100
    untaught = await chosen(house, "80.0")
    assert untaught != "south"
    for n in range(20):
        for name, value in (("south", 1.0), ("north", -1.0)):
            run_id = f"{name}{n}"
            asked = request("book a trip by train", f"{run_id}.0", run_id=run_id, agent=name)
            await house.answer(asked, f"{run_id}.5")
            await house.orchestrator.give_feedback(Feedback(run_id, run_id, "rating", value))
    assert await house.bus.drain()
    assert await chosen(house, "90.0") == "south"
    await store.save_person(Person("U1", "Ada", {"learning": "no"}))
    house.orchestrator.learn_anew()
    assert await chosen(house, "91.0") == untaught
