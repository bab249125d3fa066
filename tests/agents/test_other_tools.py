import re
from dataclasses import replace
from pathlib import Path

import pytest

import agents.tools
from agents.tools import CATALOGUE
from agents.tools.base import ArgumentsRefused, PersonNeeded, ToolFailed
from database.errors import BudgetExceeded
from database.records import Message, one_person, private_channel
from tests.agents.doubles import Memory, Nursery, Shelf, context

SAID = Message("C2", "1795000000.000100", "1795000000.000100", "person", "the budget is 40k", "U7")


def test_each_tool_has_a_module_a_short_description_and_described_arguments() -> None:
    modules = {path.stem for path in Path(agents.tools.__file__).parent.glob("*.py")}
    for name, tool in CATALOGUE.items():
        assert name == tool.name
        assert name in modules
        assert 20 < len(tool.description) < 200
        assert tool.parameters["type"] == "object"
        assert tool.parameters["additionalProperties"] is False
        described = tool.parameters["properties"].values()
        assert all(argument["description"] for argument in described)
        assert not re.search(r'"title"', str(tool.parameters))


def test_only_what_changes_something_counts_as_writing() -> None:
    writing = {name for name, tool in CATALOGUE.items() if tool.effect == "write"}
    assert writing == {"run_workflow", "spawn_specialist"}


@pytest.mark.parametrize("name", sorted(CATALOGUE))
async def test_arguments_that_do_not_exist_are_refused(name: str) -> None:
    with pytest.raises(ArgumentsRefused):
        await CATALOGUE[name].call({"no_such_argument": 1, "date": 3, "name": 4}, context())


async def test_search_gives_who_when_and_what_a_link_is_made_of() -> None:
    memory = Memory([SAID])
    found = await CATALOGUE["search_messages"].call({"words": "budget"}, context(recall=memory))
    assert found == (
        "Best match first:\n"
        "1. <@U7> in <#C2> on 2026-11-18 11:06 (ts 1795000000.000100): the budget is 40k"
    )


async def test_search_reads_as_the_person_who_asks() -> None:
    hidden = [
        Message("C8", "1.0", "1.0", "person", "secret budget", audience=private_channel("C8")),
        Message("D2", "2.0", "2.0", "person", "my budget", audience=one_person("U2")),
    ]
    memory = Memory(hidden)
    found = await CATALOGUE["search_messages"].call({"words": "budget"}, context(recall=memory))
    assert found.startswith("No message was found for 'budget'")
    assert [reader.user_id for reader in memory.readers] == ["U1"]


async def test_long_messages_are_shortened() -> None:
    memory = Memory([Message("C2", "1.0", "1.0", "assistant", "word " * 500)])
    found = await CATALOGUE["search_messages"].call({"words": "word"}, context(recall=memory))
    assert "the assistant" in found
    assert len(found) < 600


async def test_a_model_that_reads_slowly_is_told_less() -> None:
    many = [Message("C2", f"{n}.0", "1.0", "person", "word " * 500) for n in range(1, 9)]
    asked = replace(context(recall=Memory(many)), brief=True)
    found = await CATALOGUE["search_messages"].call({"words": "word"}, asked)
    assert found.count("on 1970-01-01") == 4
    assert len(found) < 1200


async def test_a_workflow_runs_with_its_inputs() -> None:
    shelf = Shelf({"standup": "Done."})
    given = {"name": " standup ", "inputs": {"team": "blue"}}
    assert await CATALOGUE["run_workflow"].call(given, context(workflows=shelf)) == "Done."
    assert shelf.ran == [("standup", {"team": "blue"})]


@pytest.mark.parametrize(
    ("shelf", "words"),
    [(Shelf({"standup": ""}), "There are: standup"), (Shelf(), "None is saved yet")],
)
async def test_an_unknown_workflow_is_told_with_the_known_ones(shelf: Shelf, words: str) -> None:
    with pytest.raises(ToolFailed, match=words):
        await CATALOGUE["run_workflow"].call({"name": "retro"}, context(workflows=shelf))


async def test_asking_a_person_needs_one() -> None:
    with pytest.raises(PersonNeeded) as asked:
        await CATALOGUE["ask_person"].call({"question": " Which year? "}, context())
    assert asked.value.question == "Which year?"


async def test_a_specialist_is_made_for_the_person_who_asks_and_within_the_budget() -> None:
    nursery = Nursery(room=1)
    spawn = CATALOGUE["spawn_specialist"]
    given = {"description": "Knows all about our expense rules"}
    assert "'specialist-1' exists now" in await spawn.call(given, context(spawn=nursery))
    assert nursery.born == [("Knows all about our expense rules", "U1")]
    with pytest.raises(BudgetExceeded):
        await spawn.call(given, context(spawn=nursery))
    with pytest.raises(ToolFailed, match="cannot be made here"):
        await spawn.call(given, context())
