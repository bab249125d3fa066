"""Tools for models that cannot call them: what to ask, and how to read the answer.

The choice of a tool is asked for in a short conversation of its own. It begins with the same
examples and list each time, which llama.cpp then reads only once, and the answer itself is not
confused by it. The arguments are asked for in the real one, which the answer then goes on from.
Small models choose a tool for everything, a greeting too, unless examples show them otherwise.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from agents.errors import ModelAnswerMalformed
from agents.turns import ToolCall, ToolSpec, Turn

NO_TOOL = "answer"
DECISION_TOKENS = 100
ARGUMENT_TOKENS = 1000

_EARLIER_TURNS = 4
_EARLIER_CHARACTERS = 300
_MESSAGE_CHARACTERS = 4000

_RULE = (
    "Choose what a message calls for, from the list. Most messages call for "
    f'"{NO_TOOL}"; a tool is for what its description names.'
)
_NO_TOOL_MEANS = (
    f'- "{NO_TOOL}": no tool: greetings, thanks, general knowledge, explaining, writing, '
    "rewriting, translating, summarizing"
)
_NEXT = "What is needed next for the same message?"


def choice(turns: Sequence[Turn], tools: Sequence[ToolSpec]) -> tuple[list[Turn], dict[str, Any]]:
    """The conversation that asks which tool is needed, and the form of its answer."""
    names = [*(tool.name for tool in tools), NO_TOOL]
    schema = {
        "type": "object",
        "properties": {"tool": {"type": "string", "enum": names}},
        "required": ["tool"],
        "additionalProperties": False,
    }
    asked = [*_examples(), *_asked(turns, tools)]
    return asked, json_answer("choice", schema)


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
    """The JSON object in an answer, also out of a code fence. Raises ModelAnswerMalformed."""
    try:
        value = orjson.loads(unfenced(text))
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ModelAnswerMalformed(f"The model gave {what} not as JSON. Ask again.")
    return value


def unfenced(text: str) -> str:
    """The text without a Markdown code fence around it, which some models cannot leave out."""
    text = text.strip()
    if text.startswith("```"):
        text = text.removesuffix("```").partition("\n")[2]
    return text


def already_made(call: ToolCall, turns: Sequence[Turn]) -> bool:
    """Whether this very call was made since the person last spoke, so that it brings nothing."""
    made = (done for turn in turns[_last_message(turns) :] for done in turn.tool_calls)
    return any(done.name == call.name and done.arguments == call.arguments for done in made)


def as_text(turns: Sequence[Turn]) -> list[Turn]:
    """The conversation without turns that a model without tools does not know."""
    names = {call.id: call.name for turn in turns for call in turn.tool_calls}
    return [_plain(turn, names) for turn in turns]


def _examples() -> list[Turn]:
    tools = (
        '- "weather": The weather in a city.\n- "search_orders": Searches the orders of the shop.'
    )
    return [
        Turn("system", _RULE),
        Turn("user", f"List:\n{tools}\n{_NO_TOOL_MEANS}\n\nMessage: Is it raining in Oslo?"),
        _pick("weather"),
        Turn("user", "Message: Thanks a lot!"),
        _pick(NO_TOOL),
        Turn("user", "Message: What did Ms Lund order in May?"),
        _pick("search_orders"),
        Turn("user", f"Result: two chairs and a lamp\n\n{_NEXT}"),
        _pick(NO_TOOL),
        Turn("user", "Message: Write a short poem about Oslo in the rain."),
        _pick(NO_TOOL),
        Turn("user", "Message: What is the largest city of Norway?"),
        _pick(NO_TOOL),
    ]


def _asked(turns: Sequence[Turn], tools: Sequence[ToolSpec]) -> list[Turn]:
    """The real list, the message with a little of what came before it, and the results so far."""
    start = _last_message(turns)
    tools_list = "\n".join(f'- "{tool.name}": {tool.description}' for tool in tools)
    said = [turn for turn in turns[:start] if turn.role in ("user", "assistant") and turn.text]
    earlier = "".join(
        f"Earlier, {turn.role}: {turn.text[:_EARLIER_CHARACTERS]}\n"
        for turn in said[-_EARLIER_TURNS:]
    )
    message = turns[start].text[-_MESSAGE_CHARACTERS:] if turns else ""
    asked = [
        Turn("user", f"List:\n{tools_list}\n{_NO_TOOL_MEANS}\n\n{earlier}Message: {message}"),
    ]
    for turn in turns[start + 1 :]:
        asked += [_pick(call.name) for call in turn.tool_calls[:1]]
        if turn.role == "tool":
            result = turn.text[:_MESSAGE_CHARACTERS]
            asked.append(Turn("user", f"Result: {result}\n\n{_NEXT}"))
    return asked


def _last_message(turns: Sequence[Turn]) -> int:
    spoken = [index for index, turn in enumerate(turns) if turn.role == "user"]
    return spoken[-1] if spoken else 0


def _pick(name: str) -> Turn:
    return Turn("assistant", json.dumps({"tool": name}))


def _plain(turn: Turn, names: Mapping[str, str]) -> Turn:
    if turn.role == "tool":
        name = names.get(turn.tool_call_id or "", "the tool")
        return Turn("user", f"Result of {name}:\n{turn.text}")
    if not turn.tool_calls:
        return turn
    asked = [
        f"I look it up: {call.name} {json.dumps(dict(call.arguments))}" for call in turn.tool_calls
    ]
    return Turn("assistant", "\n".join([*filter(None, [turn.text]), *asked]))
