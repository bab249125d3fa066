"""What a definition demonstrates is shown to the model as turns that came before."""

from pathlib import Path

import pytest

from agents.definition import AgentDefinition, DefinitionError, load_definition, parse_definition
from agents.turns import Turn
from agents.universal_agent import UniversalAgent
from tests.agents.doubles import ScriptedModel, context, says

BODY = {
    "name": "greeter",
    "specialty": "greetings",
    "description": "Greets.",
    "system_prompt": "Greet.",
    "demonstrations": [{"request": "Greet Bo", "answer": "Hello, Bo."}],
}


def greeter() -> AgentDefinition:
    return parse_definition(BODY, "here")


async def test_they_stand_between_the_prompt_and_the_conversation() -> None:
    model = ScriptedModel(says("Hello, Ann."))
    said = [Turn("user", "Hi"), Turn("assistant", "Hi!"), Turn("user", "Greet Ann")]

    async for _ in UniversalAgent(greeter(), model, {}).run(said, context()):
        pass

    system, *rest = model.asked[0].turns
    assert system.role == "system"
    assert "Bo" not in system.text
    assert rest == [Turn("user", "Greet Bo"), Turn("assistant", "Hello, Bo."), *said]


def test_they_are_part_of_the_version() -> None:
    other = greeter().model_copy(update={"demonstrations": ()})

    assert parse_definition(greeter().body(), "again") == greeter()
    assert other.version != greeter().version


def test_a_misspelt_key_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "greeter.yaml"
    path.write_text(
        "name: greeter\nspecialty: greetings\ndescription: Greets.\nsystem_prompt: Greet.\n"
        "demonstrations:\n  - request: Greet Bo\n    anser: Hello\n"
    )

    with pytest.raises(DefinitionError, match=r"greeter\.yaml:7: .*anser"):
        load_definition(path)
