"""Tools for models that cannot call them: what to show, what to ask, how to read the answer.

The tools stand in the system prompt, so that the choice, the arguments and the free answer share
their beginning, which llama.cpp then reads only once. Each question is one turn at the end.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from agents.errors import ModelAnswerMalformed
from agents.turns import ToolCall, ToolSpec, Turn

NO_TOOL = "none"
DECISION_TOKENS = 100
ARGUMENT_TOKENS = 1000

_OFFER = (
    "You can look things up with these tools before you answer. You are asked separately whether "
    "you need one; never write a tool call into an answer.\n{tools}"
)
_CHOOSE = (
    "Which tool must be used now, before the last question can be answered? Say "
    f'"{NO_TOOL}" if none is needed or the results above already hold what is asked.'
)
_FILL = "Give the arguments of {name} as JSON: {description}"


def with_tools(turns: Sequence[Turn], tools: Sequence[ToolSpec]) -> list[Turn]:
    """The conversation with the tools in its system prompt, and calls and results as plain text."""
    offer = _OFFER.format(tools="\n".join(f"- {tool.name}: {tool.description}" for tool in tools))
    rest = list(turns)
    system = rest.pop(0).text + "\n\n" if rest and rest[0].role == "system" else ""
    return [Turn("system", system + offer), *as_text(rest)]


def as_text(turns: Sequence[Turn]) -> list[Turn]:
    """The same conversation without turns that a model without tools does not know."""
    names = {call.id: call.name for turn in turns for call in turn.tool_calls}
    return [_plain(turn, names) for turn in turns]


def choice(tools: Sequence[ToolSpec]) -> tuple[Turn, dict[str, Any]]:
    """The question which tool is needed, and the schema of its answer."""
    names = [*(tool.name for tool in tools), NO_TOOL]
    schema = {
        "type": "object",
        "properties": {"tool": {"type": "string", "enum": names}},
        "required": ["tool"],
        "additionalProperties": False,
    }
    return Turn("user", _CHOOSE), json_answer("choice", schema)


def chosen(text: str, tools: Sequence[ToolSpec]) -> ToolSpec | None:
    """The tool that an answer to `choice` names. Raises ModelAnswerMalformed."""
    name = json_object(text, "the choice of a tool").get("tool")
    if name == NO_TOOL:
        return None
    for tool in tools:
        if tool.name == name:
            return tool
    raise ModelAnswerMalformed(f"The model chose a tool that was not offered: {name!r}. Ask again.")


def filling(tool: ToolSpec) -> tuple[Turn, dict[str, Any]]:
    """The question for a tool's arguments, and the schema of its answer."""
    question = _FILL.format(name=tool.name, description=tool.description)
    return Turn("user", question), json_answer(tool.name, tool.parameters)


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
    for turn in reversed(turns):
        if turn.role == "user":
            return False
        if any(c.name == call.name and c.arguments == call.arguments for c in turn.tool_calls):
            return True
    return False


def _plain(turn: Turn, names: Mapping[str, str]) -> Turn:
    if turn.role == "tool":
        name = names.get(turn.tool_call_id or "", "the tool")
        return Turn("user", f"Result of {name}:\n{turn.text}")
    if not turn.tool_calls:
        return turn
    asked = [
        f"I use {call.name} with {json.dumps(dict(call.arguments))}" for call in turn.tool_calls
    ]
    return Turn("assistant", "\n".join([*filter(None, [turn.text]), *asked]))
