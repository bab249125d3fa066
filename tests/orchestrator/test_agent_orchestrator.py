import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from agents.errors import ModelUnavailable
from agents.ports import ToolContext
from agents.tools.base import PersonNeeded, Tool
from agents.turns import TextDelta, ToolCall, ToolCallsRequested, Turn
from database.records import (
    Feedback,
    Message,
    Person,
    Reader,
    RunQuery,
    one_person,
    private_channel,
)
from database.store import Store
from orchestrator.agent_pool import LiveAgent
from orchestrator.requests import ReplyEvent, ReplyFinished, ReplyStarted
from tests.orchestrator.conftest import House
from tests.orchestrator.fakes import NoFiles, Say, ScriptedModels, agent, away, request
from tests.patience import PATIENCE_S

COOK = agent("cook", "how do I cook rice", "a recipe for soup")
LAWYER = agent("lawyer", "review this contract", fallbacks=["cook"], model="m-law")


def echo(turns: Sequence[Turn], model: str) -> Say:
    return f"You said {turns[-1].text}"


def last(events: Sequence[ReplyEvent]) -> ReplyFinished:
    finished = events[-1]
    assert isinstance(finished, ReplyFinished)
    return finished


def text_of(events: Sequence[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_a_request_is_routed_answered_and_recorded(store: Store) -> None:
    house = await House(store, ScriptedModels(echo)).start(COOK, LAWYER)
    asked = request("how do I cook rice for ann@example.org")
    events = await house.ask(asked)
    started, finished = events[0], last(events)
    assert isinstance(started, ReplyStarted)
    assert (started.agent, finished.problem) == ("cook", None)
    assert "how do I cook rice" in started.why
    assert (
        text_of(events) == finished.run.reply == "You said how do I cook rice for ann@example.org"
    )
    await house.orchestrator.record(finished, "1.5")
    run = await store.run(asked.run_id)
    assert run is not None
    assert run.request == "how do I cook rice for [email]"
    assert run.reply == "You said how do I cook rice for [email]"
    assert (run.agent, run.agent_version, run.model) == ("cook", COOK.version, "m-strong")
    assert (run.input_tokens, run.output_tokens, run.cost_usd) == (10, 5, 0.001)
    assert (run.reply_ts, run.task_type) == ("1.5", "kind-1")
    assert run.route is not None
    assert run.route["best"]["agent"] == "cook"
    assert run.first_token_ms is not None
    assert run.duration_ms is not None
    assert [s.kind for s in run.steps] == ["model"]
    said = await store.thread("C1", asked.thread_ts)
    assert [(m.role, m.ts, m.run_id) for m in said] == [
        ("person", asked.message_ts, asked.run_id),
        ("assistant", "1.5", asked.run_id),
    ]


async def test_asking_which_agent_should_answer_is_a_step_of_the_run(store: Store) -> None:
    models = ScriptedModels(echo)
    models.structured_answers = [{"agent": 2}]
    house = await House(store, models).start(
        agent("north", "book a trip to the north by train"),
        agent("south", "book a trip to the south by train"),
    )
    finished = await house.answer(request("book a trip by train"), "1.5")
    assert finished.run.route is not None
    assert finished.run.route["reason"] == "fast model"
    run = await store.run(finished.run.run_id)
    assert run is not None
    assert [(s.name, s.arguments) for s in run.steps] == [
        ("m-fast", {"purpose": "routing"}), ("m-strong", None),
    ]  # fmt: skip
    assert (run.input_tokens, run.output_tokens, run.cost_usd) == (20, 10, 0.002)
    assert run.model == "m-strong"


async def test_a_follow_up_sees_what_was_said_and_keeps_its_agent(store: Store) -> None:
    house = await House(store, ScriptedModels(echo)).start(COOK, LAWYER)
    await house.answer(request("how do I cook rice", "1.0"), "1.5")
    again = request("and for three?", "2.0", thread_ts="1.0")
    await house.orchestrator.heard(
        Message("C1", "1.7", "1.0", "person", "I like rice", "U2", created_at=1.7)
    )
    events = await house.ask(again)
    assert last(events).run.agent == "cook"
    turns = [(t.role, t.text) for t in house.models.asked[-1][1] if t.role != "system"]
    assert turns == [
        ("user", "how do I cook rice"),
        ("assistant", "You said how do I cook rice"),
        ("user", "I like rice"),
        ("user", "and for three?"),
    ]


async def test_the_agent_of_the_thread_is_remembered_over_a_restart(store: Store) -> None:
    house = await House(store, ScriptedModels(echo)).start(COOK, LAWYER)
    await house.answer(request("how do I cook rice", "1.0"), "1.5")
    restarted = await House(store, ScriptedModels(echo)).start(COOK, LAWYER)
    events = await restarted.ask(request("and for three?", "2.0", thread_ts="1.0"))
    assert last(events).run.agent == "cook"


def law_is_away(turns: Sequence[Turn], model: str) -> Say:
    return away(turns, model) if model == "m-law" else "Instead."


async def test_a_failing_agent_is_followed_by_its_fallback(store: Store) -> None:
    house = await House(store, ScriptedModels(law_is_away)).start(COOK, LAWYER)
    events = await house.ask(request("review this contract"))
    assert [e.agent for e in events if isinstance(e, ReplyStarted)] == ["lawyer", "cook"]
    finished = last(events)
    assert (finished.run.agent, finished.run.reply, finished.problem) == ("cook", "Instead.", None)
    assert [(s.position, s.ok) for s in finished.run.steps] == [(0, False), (1, True)]
    assert finished.run.cost_usd is None
    assert finished.run.route is not None
    assert finished.run.route["tried"] == ["lawyer", "cook"]


async def test_agents_on_a_model_that_is_away_are_not_tried(store: Store) -> None:
    house = await House(store, ScriptedModels(away)).start(COOK)
    events = await house.ask(request("how do I cook rice"))
    assert [e.agent for e in events if isinstance(e, ReplyStarted)] == ["cook"]
    finished = last(events)
    assert finished.problem == "I could not answer. m-strong is away. Try later."
    assert finished.run.error is not None
    assert "ModelUnavailable" in finished.run.error
    assert finished.run.reply is None
    await house.orchestrator.record(finished, None)
    assert [m.role for m in await store.thread("C1", "1.000001")] == ["person"]


async def test_an_agent_nobody_knows_is_a_problem_in_words(store: Store) -> None:
    house = await House(store, ScriptedModels(echo)).start()
    finished = last(await house.ask(request("hello", agent="nobody")))
    assert finished.problem is not None
    assert "nobody" in finished.problem


async def test_what_was_said_before_a_stop_is_kept(store: Store) -> None:
    models = ScriptedModels(echo)
    models.hold = asyncio.Event()
    house = await House(store, models).start()
    events: list[ReplyEvent] = []
    first = asyncio.Event()

    async def listen() -> None:
        async for event in house.orchestrator.reply(request("a b c"), NoFiles()):
            events.append(event)
            if isinstance(event, TextDelta):
                first.set()

    task = asyncio.create_task(listen())
    await asyncio.wait_for(first.wait(), PATIENCE_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    finished = last(events)
    assert (finished.run.reply, finished.run.error) == ("You", "stopped by the person")
    async with house.pool.use("generalist") as live:
        assert live.users == 1


async def test_closing_early_frees_the_agent(store: Store) -> None:
    house = await House(store, ScriptedModels(echo)).start()
    kept: list[LiveAgent] = []
    async with aclosing(house.orchestrator.reply(request("a b c"), NoFiles())) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
        async with house.pool.use("generalist") as live:
            kept.append(live)
            assert live.users == 2
    assert kept[0].users == 0


async def test_a_better_answer_sees_the_first_and_the_wish(store: Store) -> None:
    house = await House(store, ScriptedModels(echo)).start(COOK)
    await house.answer(request("how do I cook rice", "1.0"), "1.5")
    run = await store.run("run-1.0")
    assert run is not None
    base = request("ignored", "3.0", thread_ts="1.0", run_id="run-better")
    better = await house.orchestrator.better_request(run, "in one word", base)
    assert (better.agent, better.text, better.parent_run_id) == ("cook", run.request, run.run_id)
    finished = await house.answer(better, "3.5")
    turns = [(t.role, t.text) for t in house.models.asked[-1][1] if t.role != "system"]
    assert turns == [
        ("user", "how do I cook rice"),
        ("assistant", "You said how do I cook rice"),
        ("user", "Please answer my request again, and this time: in one word"),
    ]
    assert finished.run.route is not None
    assert finished.run.route["instruction"] == "in one word"


async def test_a_persons_settings_shape_the_question(store: Store) -> None:
    await store.save_person(Person("U1", "Ann", {"answer_length": "short", "time_zone": "Mars"}))
    house = await House(store, ScriptedModels(echo)).start()
    await house.ask(request("explain rain"))
    assert "three sentences" in house.models.asked[-1][1][-1].text


def asks_person(turns: Sequence[Turn], model: str) -> Say:
    return ToolCallsRequested((ToolCall("1", "ask_person", {"question": "Which one?"}),))


async def test_a_question_to_the_person_is_the_reply(store: Store) -> None:
    async def call(arguments: object, context: ToolContext) -> str:
        raise PersonNeeded("Which one?")

    tool = Tool("ask_person", "asks", {"type": "object"}, "read", "Asking", call)
    models = ScriptedModels(asks_person)
    house = House(store, models, tools={"ask_person": tool})
    await house.start(agent("asker", "which one do you mean", tools=["ask_person"]))
    events = await house.ask(request("which one do you mean", agent="asker"))
    assert text_of(events) == "Which one?"
    assert last(events).run.reply == "Which one?"


@pytest.mark.parametrize(
    ("audience", "seen"),
    [
        ("public", {"open"}),
        (private_channel("C9"), {"open", "members"}),
        (one_person("U1"), {"open", "members", "mine"}),
    ],
)
async def test_tools_find_only_what_all_readers_of_the_thread_may_see(
    store: Store, audience: str, seen: set[str]
) -> None:
    found: list[str] = []

    async def call(arguments: object, context: ToolContext) -> str:
        messages = await context.recall.search_messages("secret", context.reader, 10)
        found.extend(m.text.split()[1] for m in messages)
        return "ok"

    def script(turns: Sequence[Turn], model: str) -> Say:
        asked = any(turn.role == "tool" for turn in turns)
        return "Done." if asked else ToolCallsRequested((ToolCall("1", "look", {}),))

    tool = Tool("look", "looks", {"type": "object"}, "read", "Looking", call)
    house = House(store, ScriptedModels(script), tools={"look": tool})
    await house.start(agent("seeker", tools=["look"]))
    for word, kept in (
        ("open", "public"), ("members", private_channel("C9")), ("mine", one_person("U1")),
    ):  # fmt: skip
        message = Message("C0", word, word, "person", f"secret {word}", "U1", None, kept)
        await house.orchestrator.heard(message)
    await house.ask(
        request(
            "look", agent="seeker", audience=audience, channel_id="C9",
            reader=Reader("U1", frozenset({"C9"})),
        )
    )  # fmt: skip
    assert set(found) == seen


async def test_edits_and_deletions_reach_memory(store: Store) -> None:
    house = await House(store, ScriptedModels(echo)).start()
    await house.orchestrator.heard(Message("C1", "1.1", "1.0", "person", "old", "U1"))
    await house.orchestrator.edited("C1", "1.1", "write to bob@example.org")
    assert [m.text for m in await store.thread("C1", "1.0")] == ["write to [email]"]
    await house.orchestrator.deleted("C1", "1.1")
    assert [m.text for m in await store.thread("C1", "1.0") if m.text] == []


async def test_feedback_is_kept_redacted_and_teaches_routing(store: Store) -> None:
    north = agent("north", "book a trip to the north by train")
    south = agent("south", "book a trip to the south by train")
    house = await House(store, ScriptedModels(echo)).start(north, south)
    house.models.structured_answers = [ModelUnavailable("no")] * 100
    for n in range(20):
        asked = request("book a trip by train", f"{n}.0", run_id=f"r{n}", agent="south")
        await house.answer(asked, f"{n}.5")
        await house.orchestrator.give_feedback(
            Feedback(f"f{n}", f"r{n}", "rating", 1.0, text="mail ann@example.org", user_id="U1")
        )
        asked = request("book a trip by train", f"{n}.1", run_id=f"s{n}", agent="north")
        await house.answer(asked, f"{n}.6")
        await house.orchestrator.give_feedback(Feedback(f"g{n}", f"s{n}", "rating", -1.0))
    assert await house.bus.drain()
    await house.orchestrator.learn_what_worked()
    assert [f.text for f in await store.feedback_on("r0")] == ["mail [email]"]
    finished = last(await house.ask(request("book a trip by train", "90.0")))
    assert finished.run.agent == "south"


async def test_similar_requests_are_one_kind_also_after_a_restart(store: Store) -> None:
    house = await House(store, ScriptedModels(echo)).start()
    for n, text in enumerate(("what does a lion eat", "what does a tiger eat", "sum up my report")):
        await house.answer(request(text, f"{n}.0"), f"{n}.5")
    runs = await store.runs(RunQuery())
    kinds = {run.request: run.task_type for run in runs}
    assert kinds["what does a lion eat"] == kinds["what does a tiger eat"]
    assert kinds["sum up my report"] != kinds["what does a lion eat"]
    restarted = await House(store, ScriptedModels(echo)).start()
    finished = last(await restarted.ask(request("what does a lion eat", "9.0")))
    assert finished.run.task_type == kinds["what does a lion eat"]


async def test_words_changed_while_they_are_answered_are_remembered_as_changed(
    store: Store,
) -> None:
    house = await House(store, ScriptedModels(echo)).start(COOK)
    asked = request("how do I cook rise")
    finished = last(await house.ask(asked))
    await house.orchestrator.edited("C1", asked.message_ts, "how do I cook rice for a@b.org")
    await house.orchestrator.record(finished, "1.5")
    question, _ = await store.thread("C1", asked.thread_ts)
    assert question.text == "how do I cook rice for [email]"
    await house.orchestrator.record(last(await house.ask(request("soup", "3.1"))), "3.5")
    assert (await store.thread("C1", "3.1"))[0].text == "soup"


async def test_an_answer_that_failed_is_no_success_and_a_stopped_one_is_not_judged(
    store: Store,
) -> None:
    models = ScriptedModels(away)
    house = await House(store, models).start(COOK)
    await house.orchestrator.record(last(await house.ask(request("soup"))), "1.5")
    models.script, models.hold = echo, asyncio.Event()
    stopped = asyncio.create_task(house.ask(request("rice", "2.1")))
    async with asyncio.timeout(PATIENCE_S):
        while len(models.asked) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    stopped.cancel()
    await house.orchestrator.record(last(await stopped), "2.5")
    total = (await store.metrics(RunQuery())).total
    assert (total.runs, total.judged, total.succeeded) == (2, 1, 0)


@pytest.mark.parametrize("brief", [False, True])
async def test_tools_are_told_whether_the_model_reads_slowly(store: Store, brief: bool) -> None:
    told: list[bool] = []

    class Slow(House):
        def serving(self) -> dict[str, Any]:
            return {"brief": brief}

    async def call(arguments: object, context: ToolContext) -> str:
        told.append(context.brief)
        return "ok"

    def script(turns: Sequence[Turn], model: str) -> Say:
        asked = any(turn.role == "tool" for turn in turns)
        return "Done." if asked else ToolCallsRequested((ToolCall("1", "look", {}),))

    tool = Tool("look", "looks", {"type": "object"}, "read", "Looking", call)
    house = await Slow(store, ScriptedModels(script), tools={"look": tool}).start(
        agent("seeker", tools=["look"])
    )
    await house.ask(request("look", agent="seeker"))
    assert told == [brief]
