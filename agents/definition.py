"""What an agent is: a validated document, written as YAML or kept as a Document's body.

A definition is text, and text cannot grant itself power: YAML tags, aliases and unknown keys are
refused, and a tool must exist in the catalogue of tools before a definition may name it.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from agents.tools import TOOL_NAMES
from database.errors import InputError
from database.records import content_hash

LIBRARY = Path(__file__).parent / "library"

MAX_PROMPT_CHARACTERS = 6000
"""About 1,500 tokens: more would leave a small model's window no room for the conversation."""

_MAX_FILE_BYTES = 200_000
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null")}
_CONTAINERS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}

Location = tuple[str | int, ...]


def _plain_line_ends(value: object) -> object:
    """Unicode knows ten line ends, and YAML keeps only one of them as it was."""
    return "\n".join(value.splitlines()) if isinstance(value, str) else value


_LINE_ENDS = BeforeValidator(_plain_line_ends)
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
Line = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\r\n]+$"), _LINE_ENDS]
Text = Annotated[str, Field(min_length=1, max_length=1000), _LINE_ENDS]
Example = Annotated[str, Field(min_length=1, max_length=300), _LINE_ENDS]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]


class DefinitionError(InputError):
    """An agent's definition cannot be used; one line a problem, each saying where it is."""

    def __init__(self, problems: Collection[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class AgentBudget(BaseModel):
    """What one answer may take: model calls, seconds, tokens (in and out), US dollars."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    max_steps: int = Field(default=6, ge=1, le=50)
    max_seconds: float = Field(default=120.0, gt=0, le=3600)
    max_tokens: int = Field(default=20_000, ge=100, le=2_000_000)
    max_cost_usd: float | None = Field(default=None, gt=0, le=1000)


class Demonstration(BaseModel):
    """A request and the answer that the agent should give to it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)

    request: Text
    answer: Text


class AgentDefinition(BaseModel):
    """One agent. `model` is `strong`, `fast` or a real name; `examples` are requests it is for.

    `demonstrations` are shown to the model as earlier turns of the conversation, which small models
    follow where they do not follow the same examples inside the prompt.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, str_strip_whitespace=True, allow_inf_nan=False
    )

    name: Slug
    specialty: Line
    description: Text
    examples: Annotated[tuple[Example, ...], Field(strict=False, max_length=40)] = ()
    system_prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS), _LINE_ENDS]
    demonstrations: Annotated[tuple[Demonstration, ...], Field(strict=False, max_length=12)] = ()
    model: ModelName = "strong"
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=128_000)] | None = None
    tools: Annotated[tuple[ToolName, ...], Field(strict=False, max_length=20)] = ()
    budget: AgentBudget = Field(default_factory=AgentBudget)
    fallbacks: Annotated[tuple[Slug, ...], Field(strict=False, max_length=5)] = ()

    @field_validator("tools", "fallbacks")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is named twice; name it once")
        return names

    @cached_property
    def version(self) -> str:
        """The content hash of `body()`: what a run says that it was served with."""
        return content_hash(self.body())

    def body(self) -> dict[str, Any]:
        """The definition as a Document's body, defaults spelled out."""
        return self.model_dump(mode="json")

    def changed(self, **fields: Any) -> "AgentDefinition":
        """The definition with other values. Raises DefinitionError.

        Not by `model_copy`, which would keep the version of the definition it copies.
        """
        return parse_definition({**self.body(), **fields}, f"agent {self.name}")


def parse_definition(
    body: Mapping[str, Any],
    where: str,
    *,
    tools: Collection[str] | None = None,
    agents: Collection[str] | None = None,
) -> AgentDefinition:
    """The definition that `body` holds; `where` names its origin in errors.

    `tools` and `agents` are the names that exist; without them names are not checked.
    Raises DefinitionError with every problem found.
    """

    def place(location: Location) -> str:
        return f"{where}: {_dotted(location)}" if location else where

    return _validated(body, place, tools, agents)


def load_definition(
    path: Path,
    *,
    tools: Collection[str] | None = TOOL_NAMES,
    agents: Collection[str] | None = None,
) -> AgentDefinition:
    """The definition in a YAML file, whose name must be the agent's.

    Raises DefinitionError; each of its problems begins with file and line.
    """
    shown = f"{path.parent.name}/{path.name}"
    body, lines = _Composed(shown).read(path)

    def place(location: Location) -> str:
        known = location
        while known not in lines:
            known = known[:-1]
        return f"{shown}:{lines[known]}"

    definition = _validated(body, place, tools, agents)
    if definition.name != path.stem:
        raise DefinitionError(
            [
                f"{place(('name',))}: the agent is called '{definition.name}' but the file "
                f"'{path.name}'; give both the same name"
            ]
        )
    return definition


def shipped_definitions(library: Path = LIBRARY) -> list[AgentDefinition]:
    """Every agent in the library folder, by name. Raises DefinitionError for the first bad file."""
    paths = sorted(library.glob("*.yaml"))
    names = {path.stem for path in paths}
    return [load_definition(path, agents=names) for path in paths]


def _validated(
    body: Mapping[str, Any],
    place: Callable[[Location], str],
    tools: Collection[str] | None,
    agents: Collection[str] | None,
) -> AgentDefinition:
    try:
        definition = AgentDefinition.model_validate(body)
    except ValidationError as error:
        raise DefinitionError(
            [f"{place(_location(e))}: {_in_words(e)}" for e in error.errors()]
        ) from None
    problems = _unknown(definition.tools, tools, "tools", "tool", place)
    problems += _unknown(definition.fallbacks, agents, "fallbacks", "agent", place)
    if definition.name in definition.fallbacks:
        at = definition.fallbacks.index(definition.name)
        problems.append(
            f"{place(('fallbacks', at))}: an agent cannot be its own fallback; take it out"
        )
    if problems:
        raise DefinitionError(problems)
    return definition


def _unknown(
    named: tuple[str, ...],
    known: Collection[str] | None,
    key: str,
    noun: str,
    place: Callable[[Location], str],
) -> list[str]:
    if known is None:
        return []
    return [
        f"{place((key, at))}: there is no {noun} '{name}'{_hint(name, known)}"
        for at, name in enumerate(named)
        if name not in known
    ]


def _location(error: ErrorDetails) -> Location:
    return error["loc"]


def _in_words(error: ErrorDetails) -> str:
    location = error["loc"]
    key = str(location[-1]) if location else ""
    if error["type"] == "extra_forbidden":
        return f"unknown key '{key}'{_hint(key, _KEYS.get(_field(location[:-1] or ('',)), _TOP))}"
    if error["type"] == "missing":
        return f"'{key}' is missing; add it"
    if error["type"] == "string_too_long":
        context = error["ctx"]
        length = len(str(error["input"]).strip())
        return (
            f"'{_dotted(location)}' has {length} characters, at most {context['max_length']} fit; "
            "shorten it"
        )
    if error["type"] == "string_pattern_mismatch":
        return f"'{_dotted(location)}' is {error['input']!r}; {_SHAPES.get(_field(location), '')}"
    if error["type"] == "string_too_short":
        return f"'{_dotted(location)}' is empty; write something"
    if error["type"] == "tuple_type":
        return f"'{_dotted(location)}' must be a list (got {_short(error['input'])})"
    return f"'{_dotted(location)}': {_lowered(error['msg'])} (got {_short(error['input'])})"


_TOP = AgentDefinition.model_fields.keys()
_KEYS = {
    "budget": AgentBudget.model_fields.keys(),
    "demonstrations": Demonstration.model_fields.keys(),
}
_SHAPES = {
    "name": "use small letters, digits and single hyphens, beginning with a letter",
    "fallbacks": "use an agent's name: small letters, digits and single hyphens",
    "specialty": "write it on one line",
    "model": "write 'strong', 'fast' or a model's name, without spaces",
    "tools": "use a tool's name: letters, digits, hyphens and underscores",
}


def _field(location: Location) -> str:
    return str(location[0])


def _lowered(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _dotted(location: Location) -> str:
    return ".".join(str(part) for part in location)


def _hint(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; there are: {', '.join(sorted(known))}" if known else "; there are none"


class _Composed:
    """Reads YAML into plain values and remembers the line of each, tags and aliases refused."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._lines: dict[Location, int] = {}
        self._seen: set[int] = set()
        self._constructor = yaml.constructor.SafeConstructor()

    def read(self, path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
        text = self._text(path)
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise self._error(line, f"this is not YAML: {error.problem or error}") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise self._error(1, f"this is not YAML: {error}") from None
        if not isinstance(root, yaml.MappingNode):
            raise self._error(1, "expected keys and values, such as 'name: my-agent'")
        value = self._value(root, ())
        return value, self._lines

    def _text(self, path: Path) -> str:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise self._error(1, f"cannot be read: {error.strerror}") from None
        if len(raw) > _MAX_FILE_BYTES:
            raise self._error(1, f"larger than {_MAX_FILE_BYTES:,} bytes; shorten it")
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise self._error(line, "not UTF-8; save the file as UTF-8") from None

    def _value(self, node: yaml.Node, location: Location) -> Any:
        self._lines[location] = node.start_mark.line + 1
        if id(node) in self._seen:
            raise self._at(node, "aliases are refused; write the value again")
        self._seen.add(id(node))
        if isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN_TAGS:
            return self._scalar(node)
        if isinstance(node, yaml.MappingNode) and node.tag in _CONTAINERS:
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode) and node.tag in _CONTAINERS:
            return [self._value(item, (*location, at)) for at, item in enumerate(node.value)]
        kind = node.tag.rpartition(":")[2]
        raise self._at(node, f"a value of kind '{kind}' is refused; write plain text in quotes")

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError):
            raise self._at(node, f"'{node.value}' cannot be read; put it in quotes") from None

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str) or key_node.tag != "tag:yaml.org,2002:str":
                raise self._at(key_node, "a key must be plain text; put it in quotes")
            if key in found:
                first = self._lines[(*location, key)]
                raise self._at(key_node, f"'{key}' was already given on line {first}; keep one")
            found[key] = self._value(value_node, (*location, key))
            self._lines[(*location, key)] = key_node.start_mark.line + 1
        return found

    def _at(self, node: yaml.Node, problem: str) -> DefinitionError:
        return self._error(node.start_mark.line + 1, problem)

    def _error(self, line: int, problem: str) -> DefinitionError:
        return DefinitionError([f"{self._shown}:{line}: {problem}"])
