"""Running an agent on a scripted model."""

from collections.abc import Mapping
from typing import Any

from agents.definition import AgentBudget, AgentDefinition, parse_definition
from agents.errors import ModelUnavailable
from agents.ports import ToolContext
from agents.tools import CATALOGUE
from agents.tools.base import Effect, Tool
from agents.turns import Turn
from agents.universal_agent import AgentEvent, AgentFinished, UniversalAgent
from tests.agents.doubles import ScriptedModel, context

ASKED = [Turn("user", "How much is 6 times 7?")]


SUM = ("calculator", {"expression": "6 * 7"})
DOWN = ModelUnavailable("The model is away. Try again in a minute.")


def definition(*tools: str, **budget: Any) -> AgentDefinition:
    body = {
        "name": "helper",
        "specialty": "helping",
        "description": "Helps.",
        "system_prompt": "You help.",
        "temperature": 0.5,
        "max_tokens": 300,
        "model": "fast",
        "tools": tools or ("calculator", "search_messages", "ask_person"),
        "budget": AgentBudget(**budget).model_dump(),
    }
    return parse_definition(body, "test")


def tool(name: str, call: Any, *, effect: Effect = "read", foreign: bool = False) -> Tool:
    return Tool(name, f"Does {name}.", {"type": "object"}, effect, name, call, foreign=foreign)


async def events(
    model: ScriptedModel,
    agent: AgentDefinition | None = None,
    *,
    tools: Mapping[str, Tool] = CATALOGUE,
    turns: list[Turn] = ASKED,
    given: ToolContext | None = None,
) -> list[AgentEvent]:
    running = UniversalAgent(agent or definition(), model, tools).run(turns, given or context())
    return [event async for event in running]


async def finished(model: ScriptedModel, *args: Any, **kwargs: Any) -> AgentFinished:
    last = (await events(model, *args, **kwargs))[-1]
    assert isinstance(last, AgentFinished)
    return last


def told(model: ScriptedModel) -> str:
    """What the model was told by the last tool before its latest call."""
    return next(turn.text for turn in reversed(model.asked[-1].turns) if turn.role == "tool")
