"""The agent loop on the real model adapter, against the scripted model server."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agents.definition import shipped_definitions
from agents.errors import ModelUnavailable
from agents.model_settings import ModelSettings
from agents.models import Models
from agents.tools import CATALOGUE
from agents.turns import StepFinished, TextDelta, Turn
from agents.universal_agent import AgentEvent, AgentFinished, AgentStopped, UniversalAgent
from tests.agents.doubles import context
from tests.model_server.server import ScriptedModel, answer, failure, tool_call

SUM = {"expression": "6 * 7"}


@pytest.fixture
def settings(scripted_model: ScriptedModel) -> ModelSettings:
    return ModelSettings(
        base_url=scripted_model.base_url,
        api_key=None,
        strong="strong-one",
        fast="fast-one",
        max_retries=0,
    )


@pytest.fixture
async def models(settings: ModelSettings) -> AsyncIterator[Models]:
    opened = Models(settings)
    yield opened
    await opened.aclose()


async def happening(models: Models, text: str = "What is 6 times 7?") -> list[AgentEvent]:
    generalist = next(each for each in shipped_definitions() if each.name == "generalist")
    agent = UniversalAgent(generalist, models, CATALOGUE)
    return [event async for event in agent.run([Turn("user", text)], context())]


async def test_an_answer_is_streamed_with_its_usage(
    scripted_model: ScriptedModel, models: Models
) -> None:
    await scripted_model.script([answer("Hello there, how can I help you today?")])
    *pieces, end = await happening(models, "Hi")
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert isinstance(end, AgentFinished)
    assert end.reply == text == "Hello there, how can I help you today?"
    assert end.model == "strong-one"
    assert end.input_tokens
    assert end.output_tokens
    assert end.cost_usd is None  # a model that no price list knows


async def test_a_tool_is_called_and_its_result_goes_back(
    scripted_model: ScriptedModel, models: Models
) -> None:
    await scripted_model.script(
        [
            answer("It is 42.", when={"hasToolResult": True}),
            tool_call("calculator", SUM, when={"hasToolResult": False}),
        ]
    )
    happened = await happening(models)
    shown = [event for event in happened if isinstance(event, StepFinished)]
    assert [(step.title, step.ok, step.detail) for step in shown] == [
        ("Calculating: 6 * 7", True, "6 * 7 = 42")
    ]
    assert isinstance(happened[-1], AgentFinished)
    assert happened[-1].reply == "It is 42."
    first, second = await scripted_model.calls()
    offered = [tool["function"]["name"] for tool in first["tools"]]
    assert "calculator" in offered
    assert [message["role"] for message in second["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    assert second["messages"][-1]["content"] == "6 * 7 = 42"


async def test_a_model_that_is_away_leaves_the_run_to_others(
    scripted_model: ScriptedModel, models: Models
) -> None:
    await scripted_model.script([failure(503)])
    with pytest.raises(AgentStopped) as stopped:
        await happening(models)
    assert isinstance(stopped.value.cause, ModelUnavailable)


async def test_an_answer_that_breaks_off_is_kept_with_its_reason(
    scripted_model: ScriptedModel, models: Models
) -> None:
    long = "one two three four five six seven eight nine ten " * 8
    pace = {"ttft": 5, "tps": 60}
    await scripted_model.script([answer(long, truncateAfterChunks=9, streamingProfile=pace)])
    end = (await happening(models))[-1]
    assert isinstance(end, AgentFinished)
    assert long.startswith(end.reply)
    assert end.reply
    assert end.error is not None
    assert end.steps[-1].ok is False


async def test_a_model_without_tools_of_its_own_is_offered_them_by_schema(
    scripted_model: ScriptedModel, settings: ModelSettings
) -> None:
    deciding = {"systemMessage": "Decide what is needed"}
    await scripted_model.script(
        [
            answer('{"tool": "none"}', when=deciding | {"userMessage": "Known: 6 * 7 = 42"}),
            answer('{"tool": "calculator"}', when=deciding),
            answer('{"expression": "6 * 7"}', when={"userMessage": "Give the arguments"}),
            answer("It is 42.", when={"userMessage": "Result of calculator"}),
        ]
    )
    models = Models(replace(settings, native_tools=False))
    happened = await happening(models)
    await models.aclose()
    shown = [event.detail for event in happened if isinstance(event, StepFinished)]
    assert shown == ["6 * 7 = 42"]
    assert isinstance(happened[-1], AgentFinished)
    assert happened[-1].reply == "It is 42."
    asked = [call["messages"] for call in await scripted_model.calls()]
    assert not any("tool" in {message["role"] for message in messages} for messages in asked)
    asked = [call["messages"] for call in await scripted_model.calls()]
    assert not any("tool" in {message["role"] for message in messages} for messages in asked)
    examples = {message["content"] for message in asked[0]}
    assert set(CATALOGUE["calculator"].examples) < examples
    assert not set(CATALOGUE["read_file"].examples) & examples  # no file was shared
