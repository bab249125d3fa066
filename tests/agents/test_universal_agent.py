"""What a run of an agent says and what it is asked with."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from agents.tools import CATALOGUE
from agents.turns import TextDelta, Turn
from agents.universal_agent import AgentEvent, AgentFinished, UniversalAgent
from tests.agents.doubles import Folder, Nursery, Reply, ScriptedModel, Shelf, calls, context, says
from tests.agents.running import ASKED, SUM, definition, events, finished


async def test_text_passes_straight_through_and_is_the_reply() -> None:
    *pieces, end = await events(ScriptedModel(says("It ", "is ", "42.")))
    assert pieces == [TextDelta("It "), TextDelta("is "), TextDelta("42.")]
    assert isinstance(end, AgentFinished)
    assert (end.reply, end.error, end.needs_person) == ("It is 42.", None, None)
    assert (end.model, end.input_tokens, end.output_tokens, end.cost_usd) == (
        "scripted",
        10,
        5,
        0.001,
    )
    assert [step.kind for step in end.steps] == ["model"]
    assert end.first_token_ms is not None
    assert 0 <= end.first_token_ms <= end.duration_ms


async def test_the_model_is_asked_as_the_definition_says() -> None:
    model = ScriptedModel(says("42"))
    turns = [Turn("system", "Earlier: hello."), *ASKED]
    await events(model, turns=turns)
    asked = model.asked[0]
    assert (asked.model, asked.temperature, asked.max_tokens) == ("fast", 0.5, 300)
    assert asked.tools == ("calculator", "search_messages", "ask_person")
    system, request = asked.turns
    assert system.text.startswith("You help.\n\nToday is Saturday 2026-11-21.")
    assert system.text.endswith("Earlier: hello.")
    assert request == ASKED[0]


async def test_an_unknown_price_or_count_stays_unknown() -> None:
    model = ScriptedModel(calls(SUM), Reply(("42",), tokens=(None, None), cost=None))
    end = await finished(model)
    assert (end.input_tokens, end.output_tokens, end.cost_usd) == (10, 5, None)
    end = await finished(ScriptedModel(Reply(("42",), tokens=(None, None), cost=None)))
    assert (end.input_tokens, end.output_tokens) == (None, None)


async def test_words_before_and_after_a_tool_are_kept_apart() -> None:
    model = ScriptedModel(calls(SUM, saying="Let me see."), says("It is ", "42."))
    happened = await events(model)
    text = "".join(event.text for event in happened if isinstance(event, TextDelta))
    assert text == "Let me see.\n\nIt is 42."
    assert isinstance(happened[-1], AgentFinished)
    assert happened[-1].reply == text
    assert model.asked[1].turns[-2].text == "Let me see."


async def test_a_question_to_the_person_ends_the_run() -> None:
    model = ScriptedModel(calls(SUM, ("ask_person", {"question": "Which year?"})))
    end = await finished(model)
    assert end.needs_person == "Which year?"
    assert len(model.asked) == 1
    assert [step.ok for step in end.steps] == [True, True, True]
    assert end.error is None


async def test_a_missing_tool_is_left_out_and_the_rest_works() -> None:
    model = ScriptedModel(says("42"))
    await finished(model, definition("calculator", "github_search"))
    assert model.asked[0].tools == ("calculator",)


async def test_a_tool_without_anything_to_work_on_is_not_offered() -> None:
    model = ScriptedModel(says("42"))
    agent = definition("calculator", "read_file", "spawn_specialist")
    await finished(model, agent)
    assert model.asked[0].tools == ("calculator",)
    await finished(model, agent, given=context(files=Folder({"a.txt": b""}), spawn=Nursery()))
    assert model.asked[1].tools == ("calculator", "read_file", "spawn_specialist")


async def test_any_agent_may_run_a_workflow_that_the_request_names() -> None:
    shelf = Shelf({"standup": "Done."})
    model = ScriptedModel(calls(("run_workflow", {"name": "standup"})), says("It is done."))
    end = await finished(model, definition("calculator"), given=context(workflows=shelf))
    assert "run_workflow" in model.asked[0].tools
    assert model.asked[0].turns[-1].text.endswith("(Saved workflows: standup)")
    assert (len(shelf.ran), end.reply) == (1, "It is done.")


async def test_many_runs_share_an_agent() -> None:
    model = ScriptedModel(says("42"))
    agent = UniversalAgent(definition(), model, CATALOGUE)

    async def one() -> AgentEvent:
        return [event async for event in agent.run(ASKED, context())][-1]

    ends = await asyncio.gather(*(one() for _ in range(20)))
    assert [end.reply for end in ends if isinstance(end, AgentFinished)] == ["42"] * 20


async def test_the_loop_adds_microseconds() -> None:
    class Plain(ScriptedModel):
        async def stream(self, turns: Any, **options: Any) -> AsyncIterator[Any]:
            async for event in ScriptedModel(says(*["word "] * 1000)).stream(turns):
                yield event

    async def cost(work: Any) -> float:
        began = time.process_time()
        async for _ in work:
            pass
        return time.process_time() - began

    model = Plain(says())
    agent = UniversalAgent(definition(), model, CATALOGUE)
    bare = min([await cost(model.stream(ASKED)) for _ in range(5)])
    ours = min([await cost(agent.run(ASKED, context())) for _ in range(5)])
    assert (ours - bare) / 1000 < 50e-6  # aim 5 microseconds; ten times that for a busy machine
