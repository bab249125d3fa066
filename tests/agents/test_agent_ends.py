"""How a run ends before its model would end it: budgets, failures, hanging up."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agents.ports import ToolContext
from agents.tools import CATALOGUE
from agents.turns import TextDelta
from agents.universal_agent import AgentStopped, UniversalAgent
from database.errors import BudgetExceeded
from tests.agents.doubles import Reply, ScriptedModel, Shelf, calls, context, says
from tests.agents.running import ASKED, DOWN, SUM, definition, events, finished, tool


async def test_the_last_allowed_model_call_must_answer() -> None:
    ever = [calls(("calculator", {"expression": f"{at} + 1"})) for at in range(2)]
    model = ScriptedModel(*ever, says("So far 2."))
    end = await finished(model, definition(max_steps=3))
    assert len(model.asked) == 3
    assert (model.asked[1].tools == (), model.asked[2].tools == ()) == (False, True)
    assert "Answer now" in model.asked[2].turns[-1].text
    assert (end.reply, end.error) == ("So far 2.", None)


async def test_a_model_that_never_answers_is_stopped_with_a_clear_message() -> None:
    ran = Shelf({"standup": "Done."})
    model = ScriptedModel(calls(SUM), calls(("run_workflow", {"name": "standup"})))
    agent = definition("calculator", "run_workflow", max_steps=2)
    end = await finished(model, agent, given=context(workflows=ran))
    assert isinstance(end.error, BudgetExceeded)
    assert "used up the 2 model calls that the agent 'helper' may take" in str(end.error)
    assert ran.ran == []  # a call that was not on offer is not run


@pytest.mark.parametrize(
    ("budget", "spent", "limit"),
    [
        ({"max_tokens": 100}, {"tokens": (90, 20)}, "the 100 tokens"),
        ({"max_cost_usd": 0.5}, {"cost": 0.6}, "the 0.5 dollars"),
    ],
)
async def test_a_spent_budget_stops_the_run(
    budget: dict[str, Any], spent: dict[str, Any], limit: str
) -> None:
    model = ScriptedModel(replace(calls(SUM, saying="Let me see."), **spent))
    end = await finished(model, definition(**budget))
    assert len(model.asked) == 1
    assert isinstance(end.error, BudgetExceeded)
    assert limit in str(end.error)
    assert end.reply == "Let me see."
    assert len(end.steps) == 2


async def test_a_nearly_spent_budget_asks_for_the_answer() -> None:
    model = ScriptedModel(replace(calls(SUM), tokens=(80, 5)), says("42"))
    end = await finished(model, definition(max_tokens=100))
    assert model.asked[1].tools == ()
    assert (end.reply, end.error) == ("42", None)


async def test_tokens_that_a_provider_does_not_count_are_guessed_for_the_budget() -> None:
    wordy = replace(calls(SUM, saying="x" * 500), tokens=(None, None))
    end = await finished(ScriptedModel(wordy), definition(max_tokens=100))
    assert isinstance(end.error, BudgetExceeded)


async def test_a_model_that_stalls_is_stopped_in_time_and_what_it_said_is_kept() -> None:
    model = ScriptedModel(Reply(("Well, ",), stalls=True))
    end = await finished(model, definition(max_seconds=0.05))
    assert end.reply == "Well, "
    assert "used up the 0.05 seconds" in str(end.error)
    assert model.closed == 1
    assert end.steps[0].ok is False


async def test_a_tool_that_stalls_is_stopped_in_time() -> None:
    async def waits(given: Mapping[str, Any], _: ToolContext) -> str:
        await asyncio.Event().wait()
        return ""

    model = ScriptedModel(calls(("wait", {})), says("never asked"))
    agent = definition("wait", max_seconds=0.05)
    end = await finished(model, agent, tools={"wait": tool("wait", waits)})
    assert end.steps[1].error == "wait took too long and was stopped."
    assert isinstance(end.error, BudgetExceeded)


async def test_a_model_that_fails_before_a_word_leaves_the_run_to_others() -> None:
    with pytest.raises(AgentStopped, match="The model is away") as stopped:
        await events(ScriptedModel(Reply(fails=DOWN)))
    assert stopped.value.cause is DOWN
    assert [(step.kind, step.ok, step.error) for step in stopped.value.steps] == [
        ("model", False, str(DOWN))
    ]


async def test_a_model_that_fails_after_reading_tools_leaves_the_run_to_others() -> None:
    with pytest.raises(AgentStopped) as stopped:
        await events(ScriptedModel(calls(SUM), Reply(fails=DOWN)))
    assert [step.kind for step in stopped.value.steps] == ["model", "tool", "model"]


async def test_a_model_that_fails_after_words_keeps_them() -> None:
    end = await finished(ScriptedModel(Reply(("It is",), fails=DOWN)))
    assert (end.reply, end.error) == ("It is", DOWN)


async def test_a_model_that_fails_after_something_was_done_is_not_tried_elsewhere() -> None:
    shelf = Shelf({"standup": "Done."})
    model = ScriptedModel(calls(("run_workflow", {"name": "standup"})), Reply(fails=DOWN))
    end = await finished(model, definition("run_workflow"), given=context(workflows=shelf))
    assert (end.reply, end.error) == ("", DOWN)
    assert len(shelf.ran) == 1


async def test_an_empty_answer_is_a_failure() -> None:
    with pytest.raises(AgentStopped, match="empty answer"):
        await events(ScriptedModel(says()))


async def test_closing_the_run_closes_the_models_stream() -> None:
    model = ScriptedModel(Reply(("one", "two"), stalls=True))
    running = UniversalAgent(definition(), model, CATALOGUE).run(ASKED, context())
    assert await anext(running) == TextDelta("one")
    await running.aclose()
    assert model.closed == 1


async def test_cancelling_the_run_closes_the_models_stream() -> None:
    model = ScriptedModel(Reply(("one",), stalls=True))
    running = asyncio.create_task(events(model))
    await model.stalled.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert model.closed == 1


async def test_cancelling_the_run_cancels_its_tools() -> None:
    waiting, cancelled = asyncio.Event(), []

    async def waits(given: Mapping[str, Any], _: ToolContext) -> str:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(given["at"])
            raise
        return ""

    model = ScriptedModel(calls(("wait", {"at": 1}), ("wait", {"at": 2})))
    tools = {"wait": tool("wait", waits)}
    running = asyncio.create_task(events(model, definition("wait"), tools=tools))
    await waiting.wait()
    await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert sorted(cancelled) == [1, 2]
