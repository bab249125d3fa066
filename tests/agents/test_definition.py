from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.definition import (
    MAX_PROMPT_CHARACTERS,
    AgentDefinition,
    DefinitionError,
    load_definition,
    parse_definition,
    shipped_definitions,
)
from agents.tools import TOOL_NAMES
from database.records import content_hash

LEAST = {
    "name": "helper",
    "specialty": "helping",
    "description": "Helps.",
    "system_prompt": "You help.",
}
AGENTS = {"helper", "generalist"}


def write(folder: Path, text: str, name: str = "helper") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, more: str = "", *, without: str = "") -> str:
    body = {key: value for key, value in LEAST.items() if key != without}
    path = write(folder, yaml.safe_dump(body, sort_keys=False) + more)
    with pytest.raises(DefinitionError) as caught:
        load_definition(path, agents=AGENTS)
    return str(caught.value)


def test_every_shipped_agent_loads_and_there_is_a_generalist() -> None:
    names = [definition.name for definition in shipped_definitions()]
    assert "generalist" in names
    assert names == sorted(names)


def test_a_file_gives_what_it_says_and_the_rest_by_default(tmp_path: Path) -> None:
    text = yaml.safe_dump({**LEAST, "tools": ["calculator"], "budget": {"max_steps": 2}})
    definition = load_definition(write(tmp_path, text))
    assert definition.tools == ("calculator",)
    assert (definition.budget.max_steps, definition.budget.max_seconds) == (2, 120.0)
    assert (definition.model, definition.temperature) == ("strong", None)


@pytest.mark.parametrize(
    ("more", "line", "words"),
    [
        ("temprature: 1\n", 5, "unknown key 'temprature'; did you mean 'temperature'?"),
        ("budget:\n  max_stps: 3\n", 6, "unknown key 'max_stps'; did you mean 'max_steps'?"),
        (
            "demonstrations:\n  - request: Hi\n    answr: Hello\n    answer: Hello\n",
            7,
            "unknown key 'answr'; did you mean 'answer'?",
        ),
        ("budget:\n  - 1\n", 5, "'budget'"),
        ("temperature: hot\n", 5, "'temperature'"),
        ("temperature: 2.5\n", 5, "less than or equal to 2"),
        ("temperature: .nan\n", 5, "finite"),
        ("temperature: '1'\n", 5, "valid number"),
        ("max_tokens: 0\n", 5, "greater than or equal to 1"),
        ("tools:\n  - calculator\n  - calculater\n", 7, "did you mean 'calculator'?"),
        ("tools: [shell]\n", 5, "there is no tool 'shell'"),
        ("tools: calculator\n", 5, "must be a list"),
        ("tools: [calculator, calculator]\n", 5, "named twice"),
        ("fallbacks: [generalst]\n", 5, "did you mean 'generalist'?"),
        ("fallbacks: [helper]\n", 5, "its own fallback"),
        ("name: again\n", 5, "already given on line 1"),
        ("model: a b\n", 5, "without spaces"),
        ("model: no\n", 5, "valid string"),
        ("examples: [fine, 12]\n", 5, "valid string"),
        ("max_tokens: !!python/object/apply:os.system ['true']\n", 5, "refused"),
        ("max_tokens: !secret x\n", 5, "refused"),
        ("budget: &all {max_steps: 2}\nexamples: *all\n", 5, "aliases are refused"),
        ("examples: [\n", 6, "not YAML"),
        ("1: x\n", 5, "a key must be plain text"),
    ],
)
def test_each_mistake_is_named_with_file_and_line(
    tmp_path: Path, more: str, line: int, words: str
) -> None:
    problem = refused(tmp_path, more)
    assert problem.startswith(f"{tmp_path.name}/helper.yaml:{line}: ")
    assert words in problem


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert "'system_prompt' is missing; add it" in refused(tmp_path, without="system_prompt")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    problem = refused(tmp_path, "tempo: 1\nmax_tokens: x\n")
    assert sorted(line.split(":")[1] for line in problem.splitlines()) == ["5", "6"]


def test_a_prompt_that_leaves_no_room_is_refused(tmp_path: Path) -> None:
    prompt = "x" * (MAX_PROMPT_CHARACTERS + 1)
    problem = refused(tmp_path, f"system_prompt: {prompt}\n", without="system_prompt")
    assert "helper.yaml:4: 'system_prompt' has 6001 characters, at most 6000 fit" in problem


@pytest.mark.parametrize("name", ["Helper", "a--b", "-a", "a_b", "9a", "", "a" * 65, "../x"])
def test_a_name_must_be_a_slug(name: str) -> None:
    with pytest.raises(DefinitionError, match=r"agent x: name: "):
        parse_definition({**LEAST, "name": name}, "agent x")


def test_the_file_is_called_like_the_agent(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump(LEAST), name="other")
    with pytest.raises(DefinitionError, match=r"called 'helper' but the file 'other\.yaml'"):
        load_definition(path)


@pytest.mark.parametrize(
    ("raw", "words"),
    [(b"name: \xff", "not UTF-8"), (b"- a", "expected keys"), (b"", "expected keys")],
)
def test_a_file_that_is_no_definition_is_refused(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "helper.yaml"
    path.write_bytes(raw)
    with pytest.raises(DefinitionError, match=words):
        load_definition(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="cannot be read"):
        load_definition(tmp_path / "helper.yaml")


def test_a_body_can_name_only_tools_that_exist() -> None:
    with pytest.raises(DefinitionError, match=r"agent helper: tools\.0: there is no tool 'shell'"):
        parse_definition({**LEAST, "tools": ["shell"]}, "agent helper", tools=TOOL_NAMES)


line = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40)


@st.composite
def definitions(draw: st.DrawFn) -> AgentDefinition:
    body: dict[str, Any] = {
        "name": draw(st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,3}", fullmatch=True)),
        "specialty": draw(line),
        "description": draw(line),
        "system_prompt": draw(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)),
        "examples": draw(st.lists(line, max_size=3)),
        "temperature": draw(st.none() | st.floats(0, 2)),
        "max_tokens": draw(st.none() | st.integers(1, 4000)),
        "tools": draw(st.lists(st.sampled_from(sorted(TOOL_NAMES)), unique=True)),
        "budget": {"max_steps": draw(st.integers(1, 50))},
    }
    return parse_definition(body, "drawn")


@given(definitions())
def test_a_definition_survives_its_body(definition: AgentDefinition) -> None:
    again = parse_definition(definition.body(), "again", tools=TOOL_NAMES)
    assert again == definition
    assert again.version == definition.version == content_hash(definition.body())


@given(definitions())
def test_a_definition_survives_yaml(
    tmp_path_factory: pytest.TempPathFactory, definition: AgentDefinition
) -> None:
    path = tmp_path_factory.mktemp("library") / f"{definition.name}.yaml"
    path.write_text(yaml.safe_dump(definition.body(), allow_unicode=True), encoding="utf-8")
    assert load_definition(path).version == definition.version


def test_all_kinds_of_line_ends_become_one() -> None:
    body = {**LEAST, "system_prompt": "one\r\ntwo\u2028three\x85four"}
    assert parse_definition(body, "x").system_prompt == "one\ntwo\nthree\nfour"


def test_any_change_is_another_version() -> None:
    versions = {
        parse_definition({**LEAST, **change}, "x").version
        for change in ({}, {"temperature": 0.0}, {"tools": ["calculator"]}, {"model": "fast"})
    }
    assert len(versions) == 4
