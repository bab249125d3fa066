"""New specialists, changed specialists, and specialists written by hand."""

import json
import shutil
from pathlib import Path

import pytest

from agents.definition import LIBRARY, DefinitionError, shipped_definitions
from database.records import content_hash
from database.store import Store
from orchestrator.spawning import SPAWNS_A_DAY
from tests.model_server.server import answer
from tests.people import ADA, GRACE, TEAM, find
from tests.stories.story import Story, asked, seen

DRAFT = {
    "name": "wine-taster",
    "specialty": "tasting, choosing and storing wine",
    "description": "Helps with wine: which to choose and how to store it.",
    "instructions": "You are a sommelier. Name grape and region. Ask back about the dish.",
    "examples": ["Which wine goes with fish?", "How do I store a wine?", "Is this wine corked?"],
}
DRAFTED = answer(json.dumps(DRAFT), when={"systemMessage": "You design assistants"})
WINE = answer("A dry Riesling.", when=asked("wine goes with trout"))


async def test_a_specialist_made_on_request_answers_from_the_next_message_on(story: Story) -> None:
    await story.told(DRAFTED, WINE)

    made = await story.ask("Please create a specialist for tasting wine")

    assert made["text"].startswith("**wine-taster** is here now.")
    [task] = find(made["blocks"], "task_card")
    assert (task["title"], task["status"]) == ("Creating a specialist", "complete")
    document = await story.house.store.document("agent", "wine-taster")
    assert document
    assert (document.number, document.origin, document.author) == (1, "spawn", ADA)
    assert document.reason == "tasting wine"
    reply = await story.ask("Which wine goes with trout?")
    assert reply["text"] == "A dry Riesling."
    *_, run = await story.runs()
    assert (run.agent, run.agent_version) == ("wine-taster", document.version)
    assert "sommelier" in (await story.prompts())[-1][0]["content"]


async def test_a_specialist_made_in_private_is_for_those_who_were_there(story: Story) -> None:
    await story.told(DRAFTED, answer("A dry Riesling.", when=asked("wine goes with")))
    await story.ask("Please create a specialist for tasting wine")

    await story.ask("Which wine goes with trout?")
    await story.ask("Which wine goes with perch?", GRACE)
    await story.mention("Which wine goes with carp?")

    _, hers, graces, public = await story.runs()
    assert hers.agent == "wine-taster"
    assert graces.agent != "wine-taster"
    assert public.agent != "wine-taster"


async def test_past_the_budget_a_new_specialist_is_refused_with_words(story: Story) -> None:
    await story.told(DRAFTED)
    body = story.house.pool.definitions["generalist"].body()
    for number in range(SPAWNS_A_DAY):
        name = f"helper-{number}"
        await story.house.store.create_document(
            "agent", name, dict(body) | {"name": name}, origin="spawn"
        )
    before = set(story.house.pool.definitions) | {f"helper-{n}" for n in range(SPAWNS_A_DAY)}

    refused = await story.ask("Please create a specialist for tasting wine")

    assert f"the limit is {SPAWNS_A_DAY}" in refused["text"]
    assert "Try again tomorrow" in refused["text"]
    documents = await story.house.store.documents("agent")
    assert {document.name for document in documents} == before
    assert await story.prompts() == []
    [run] = await story.runs()
    assert run.error
    assert run.error.startswith("BudgetExceeded")


async def test_a_changed_version_answers_the_next_message_without_a_restart(story: Story) -> None:
    """The change comes from another process, as an approval or the command line makes it."""
    await story.told(answer("Ahoy!", when=asked("Hello")))
    await story.ask("Hello, what can you do?")
    old = story.house.pool.definitions["generalist"]
    body = dict(old.body()) | {"system_prompt": "You are a pirate. Answer like one."}

    elsewhere = Store.open(story.settings.home, TEAM)
    changed = await elsewhere.activate(
        "agent", "generalist", body, base=old.version, origin="person", author=ADA, reason="fun"
    )
    await elsewhere.close()
    await story.ask("Hello again, what can you do?")

    before, after = (turns[0]["content"] for turns in await story.prompts())
    assert "pirate" not in before
    assert "You are a pirate." in after
    first, second = await story.runs()
    assert (first.agent_version, second.agent_version) == (old.version, content_hash(body))
    assert changed.version == second.agent_version
    assert changed.number == 2


async def test_an_own_change_survives_a_restart_and_the_shipped_files(story: Story) -> None:
    old = story.house.pool.definitions["generalist"]
    body = dict(old.body()) | {"system_prompt": "You are a pirate. Answer like one."}
    await story.house.store.activate(
        "agent", "generalist", body, base=old.version, origin="person", author=ADA, reason="fun"
    )
    await story.stop()
    await story.told(answer("Ahoy!", when=asked("Hello")))

    await story.start()
    await story.ask("Hello, what can you do?")

    assert "You are a pirate." in seen((await story.prompts())[0])


def test_a_definition_with_an_unknown_key_stops_with_file_and_line(tmp_path: Path) -> None:
    library = tmp_path / "library"
    shutil.copytree(LIBRARY, library)
    lines = (library / "coder.yaml").read_text().splitlines()
    line = next(n for n, text in enumerate(lines) if text.startswith("temperature:"))
    lines[line] = "temprature: 0.5"
    (library / "coder.yaml").write_text("\n".join(lines))
    with pytest.raises(DefinitionError) as refused:
        shipped_definitions(library)
    assert str(refused.value) == (
        f"library/coder.yaml:{line + 1}: unknown key 'temprature'; did you mean 'temperature'?"
    )


async def test_when_two_specialists_fit_alike_the_fast_model_decides(story: Story) -> None:
    body = dict(story.house.pool.definitions["generalist"].body()) | {
        "specialty": "kinds of tea and how to brew them",
        "examples": ["How long does green tea brew?"],
    }
    for name in ("tea-east", "tea-west"):
        await story.house.store.create_document(
            "agent", name, body | {"name": name}, origin="person"
        )
    choice = {"systemMessage": "Choose the agent", "model": "gpt-4.1-mini"}
    await story.told(
        answer('{"agent": 2}', when=choice), answer("Four minutes.", when=asked("black tea"))
    )

    reply = await story.ask("How long does black tea brew?")

    assert reply["text"] == "Four minutes."
    [run] = await story.runs()
    assert run.route
    assert run.route["reason"] == "fast model"
    assert {run.route["best"]["agent"], run.route["second"]["agent"]} == {"tea-east", "tea-west"}
    assert run.agent == run.route["best"]["agent"]
