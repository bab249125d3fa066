"""Tools for models that cannot call them: what to ask, and how to read the answer.

The choice of a tool is asked for in a short conversation of its own, by example: told the tools
and asked which one is needed, a 1.5B model takes one for a greeting too. It begins the same each
time, so that llama.cpp reads it once, and the answer is not confused by it. The arguments are asked
for in the real conversation, which the answer then goes on from.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from agents.errors import ModelAnswerMalformed
from agents.turns import ToolCall, ToolSpec, Turn

Answered = TypeVar("Answered", bound=BaseModel)

NO_TOOL = "none"
DECISION_TOKENS = 100
ARGUMENT_TOKENS = 1000

_EARLIER_TURNS = 2
_EARLIER_CHARACTERS = 200
_MESSAGE_CHARACTERS = 4000

_RULE = (
    "Decide what is needed before a request can be answered. Answer with one name.\n{tools}\n"
    f"{NO_TOOL}: nothing more, because it is general knowledge, writing, rewriting, translating, "
    "explaining, or already known"
)
_NEED_NO_TOOL = (
    "Thanks!",
    "Who wrote Hamlet?",
    "Explain recursion in one sentence.",
    "Write a short poem about the sea.",
    "Make this sentence friendlier: Wait for me.",
    "What is a budget?",
    "Translate 'thank you' into French.",
    "Summarise: The shop opens at nine and closes at five.",
)
_ALREADY_SAID = (
    Turn("user", "The launch moved to 4 May."),
    Turn("assistant", "Noted."),
    Turn("user", "When is the launch now?"),
)
"""Without it a small model looks into the calendar for whatever asks when."""

_KNOWN_CHARACTERS = 1000

_OPENS = re.compile(r"[{\[]")
_DECODER = json.JSONDecoder()
_KINDS = {dict: "object", str: "string", int: "integer", float: "number", bool: "boolean"}


def choice(turns: Sequence[Turn], tools: Sequence[ToolSpec]) -> tuple[list[Turn], dict[str, Any]]:
    """The conversation that asks which tool is needed, and the form of its answer."""
    names = [*(tool.name for tool in tools), NO_TOOL]
    schema = {
        "type": "object",
        "properties": {"tool": {"type": "string", "enum": names}},
        "required": ["tool"],
        "additionalProperties": False,
    }
    offer = "\n".join(f"{tool.name}: {tool.description}" for tool in tools)
    asked = [Turn("system", _RULE.format(tools=offer))]
    for request, name in _examples(tools):
        answer = json.dumps({"tool": name})
        asked += [Turn("user", request), Turn("assistant", answer)]
    return [*asked, Turn("user", _request(turns))], json_answer("choice", schema)


def chosen(text: str, tools: Sequence[ToolSpec]) -> ToolSpec | None:
    """The tool that an answer to `choice` names. Raises ModelAnswerMalformed."""
    name = json_object(text, "the choice of a tool").get("tool")
    if name == NO_TOOL:
        return None
    for tool in tools:
        if tool.name == name:
            return tool
    raise ModelAnswerMalformed(f"The model chose a tool that was not offered: {name!r}. Ask again.")


def filling(turns: Sequence[Turn], tool: ToolSpec) -> tuple[list[Turn], dict[str, Any]]:
    """The real conversation, going on to ask for a tool's arguments, and the form of its answer.

    The grammar made of the schema holds no descriptions, so the question does.
    """
    arguments = "\n".join(
        f"- {name}: {argument.get('description') or argument.get('type', 'any')}"
        for name, argument in tool.parameters.get("properties", {}).items()
    )
    message = turns[_last_message(turns)].text[-_MESSAGE_CHARACTERS:] if turns else ""
    question = (
        f"First the tool {tool.name} is used. Its arguments:\n{arguments}\n"
        f"Give the arguments as JSON, for this message: {message}"
    )
    return [*as_text(turns), Turn("user", question)], json_answer(tool.name, tool.parameters)


def json_answer(name: str, schema: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
    """The `response_format` that asks for an answer of this JSON schema."""
    body = {"name": name[:64], "schema": dict(schema), "strict": strict}
    return {"type": "json_schema", "json_schema": body}


def json_object(text: str, what: str) -> dict[str, Any]:
    """The JSON object in an answer, whatever is around it. Raises ModelAnswerMalformed."""
    for part in _json_in(text):
        with contextlib.suppress(orjson.JSONDecodeError):
            value = orjson.loads(part)
            if isinstance(value, dict):
                return value
    raise ModelAnswerMalformed(f"The model gave {what} not as JSON. Ask again.")


def read_as(text: str, schema: type[Answered]) -> Answered:
    """The first of what stands in an answer that fits a form. Raises pydantic's ValidationError.

    A list alone is the one part of the form that such a list can be.
    """
    first: ValidationError | None = None
    for part in _json_in(text):
        try:
            return schema.model_validate_json(_in_its_place(part, schema))
        except ValidationError as error:
            first = first or error
    if first is not None:
        raise first
    return schema.model_validate_json(text)


def _json_in(text: str) -> Iterator[str]:
    """The JSON objects and lists in a text: some models cannot leave out what is around them.

    One that breaks off with the text is the last: what stands inside of it is no answer.
    """
    at = 0
    while found := _OPENS.search(text, at):
        at = found.start()
        try:
            _, end = _DECODER.raw_decode(text, at)
        except RecursionError:
            return
        except json.JSONDecodeError as error:
            if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
                return
            at += 1
        else:
            yield text[at:end]
            at = end


def _in_its_place(part: str, schema: type[BaseModel]) -> str:
    if not part.startswith("["):
        return part
    form = schema.model_json_schema()
    kinds = {_KINDS.get(type(one), "") for one in json.loads(part)}
    places = [name for name, kind in _lists_of(form).items() if {kind} == kinds]
    return json.dumps({places[0]: json.loads(part)}) if len(places) == 1 else part


def _lists_of(form: Mapping[str, Any]) -> dict[str, str]:
    """The lists in a JSON schema of an object, and what kind of values they hold."""
    lists = {}
    for name, place in form.get("properties", {}).items():
        held = place.get("items", {})
        name_of_held = str(held.get("$ref", "")).rpartition("/")[2]
        held = form.get("$defs", {}).get(name_of_held, held)
        if place.get("type") == "array":
            lists[name] = str(held.get("type", ""))
    return lists


def already_made(call: ToolCall, turns: Sequence[Turn]) -> bool:
    """Whether this very call was made since the person last spoke, so that it brings nothing."""
    made = (done for turn in turns[_last_message(turns) :] for done in turn.tool_calls)
    return any(done.name == call.name and done.arguments == call.arguments for done in made)


def as_text(turns: Sequence[Turn]) -> list[Turn]:
    """The conversation without turns that a model without tools does not know."""
    names = {call.id: call.name for turn in turns for call in turn.tool_calls}
    plain = [_plain(turn, names) for turn in turns]
    return [turn for turn in plain if turn.text]


def _examples(tools: Sequence[ToolSpec]) -> Iterator[tuple[str, str]]:
    """Requests and what they need, mixed: many of one kind at the end would tip the choice."""
    no_tool = iter((*_NEED_NO_TOOL[:2], _request(_ALREADY_SAID), *_NEED_NO_TOOL[2:]))
    for at in range(max([1, *(len(tool.examples) for tool in tools)])):
        for tool in tools:
            if at < len(tool.examples):
                yield tool.examples[at], tool.name
            if request := next(no_tool, None):
                yield request, NO_TOOL
            if at == 1 and tool.known:
                yield _with_known(tool.examples[0], tool.known), NO_TOOL


def _request(turns: Sequence[Turn]) -> str:
    """The last message, with a little of what came before it and what tools found for it."""
    if not turns:
        return ""
    start = _last_message(turns)
    said = [turn for turn in turns[:start] if turn.role in ("user", "assistant") and turn.text]
    earlier = "".join(
        f"Earlier, {turn.role}: {turn.text[:_EARLIER_CHARACTERS]}\n"
        for turn in said[-_EARLIER_TURNS:]
    )
    request = earlier + turns[start].text[-_MESSAGE_CHARACTERS:]
    found = "\n".join(turn.text for turn in turns[start:] if turn.role == "tool")
    return _with_known(request, found[:_KNOWN_CHARACTERS]) if found else request


def _with_known(request: str, known: str) -> str:
    return f"{request}\n\nKnown: {known}"


def _last_message(turns: Sequence[Turn]) -> int:
    spoken = [index for index, turn in enumerate(turns) if turn.role == "user"]
    return spoken[-1] if spoken else 0


def _plain(turn: Turn, names: Mapping[str, str]) -> Turn:
    if turn.role != "tool":
        return replace(turn, tool_calls=())
    name = names.get(turn.tool_call_id or "", "the tool")
    return Turn("user", f"Result of {name}:\n{turn.text}\nAnswer my message with it.")
