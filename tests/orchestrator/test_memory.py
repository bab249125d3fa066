import asyncio
from collections.abc import Sequence
from dataclasses import replace

from agents.errors import ModelUnavailable
from agents.turns import Turn
from database.records import Message, Run, RunQuery
from database.store import Store
from orchestrator.memory import KEEP_WORD_FOR_WORD, Memory
from tests.orchestrator.fakes import Say, ScriptedModels, request
from tests.patience import PATIENCE_S


def said(n: int, text: str) -> Message:
    role = "person" if n % 2 else "assistant"
    return Message("C1", f"{n:03}.000000", "001.000000", role, text, "U1", created_at=float(n))  # type: ignore[arg-type]


def run(ts: str) -> Run:
    return Run("r", "x", "generalist", channel_id="C1", thread_ts="001.000000", message_ts=ts)


def summary(turns: Sequence[Turn], model: str) -> Say:
    return "They talked."


FOLLOW_UP = request("next", "099.000000", thread_ts="001.000000")


async def test_the_newest_messages_that_fit_are_remembered(store: Store) -> None:
    store.append(*(said(n, f"message {n} " + "x" * 40) for n in range(1, 11)))
    memory = Memory(store, ScriptedModels(summary), budget_tokens=40)
    turns = await memory.before(FOLLOW_UP)
    assert [t.text.split()[1] for t in turns] == ["8", "9", "10"]
    assert [t.role for t in turns] == ["assistant", "user", "assistant"]


async def test_a_long_thread_is_summarised_and_only_the_rest_kept_word_for_word(
    store: Store,
) -> None:
    models = ScriptedModels(summary)
    store.append(*(said(n, f"message {n} " + "x" * 40) for n in range(1, 21)))
    memory = Memory(store, models, summarise_above=100)
    await memory.summarise(run("020.000000"))
    assert models.asked[0][0] == "m-fast"
    turns = await memory.before(FOLLOW_UP)
    assert "They talked." in turns[0].text
    assert len(turns) == 1 + KEEP_WORD_FOR_WORD
    assert turns[1].text.startswith("message 15")


async def test_a_second_summary_goes_on_from_the_first(store: Store) -> None:
    models = ScriptedModels(summary)
    store.append(*(said(n, f"message {n} " + "x" * 40) for n in range(1, 21)))
    memory = Memory(store, models, summarise_above=100)
    await memory.summarise(run("020.000000"))
    await memory.summarise(run("020.000000"))
    assert len(models.asked) == 1
    store.append(*(said(n, f"message {n} " + "x" * 40) for n in range(21, 31)))
    await memory.summarise(run("030.000000"))
    asked = models.asked[1][1][-1].text
    assert asked.startswith("Earlier: They talked.")
    assert "message 14" not in asked
    assert "message 15" in asked


async def test_short_threads_and_first_messages_are_not_summarised(store: Store) -> None:
    models = ScriptedModels(summary)
    memory = Memory(store, models)
    store.append(*(said(n, "short") for n in range(1, 21)))
    await memory.summarise(run("020.000000"))
    await memory.summarise(run("001.000000"))
    assert models.asked == []


async def test_a_failing_model_leaves_the_thread_as_it_is(store: Store) -> None:
    store.append(*(said(n, f"message {n} " + "x" * 40) for n in range(1, 21)))
    models = ScriptedModels(lambda turns, model: ModelUnavailable("away"))
    memory = Memory(store, models, summarise_above=100)
    await memory.summarise(run("020.000000"))
    assert await store.latest_summary("C1", "001.000000") is None


async def test_after_a_failure_the_thread_is_left_alone_ever_longer(store: Store) -> None:
    now = [1000.0]
    store.append(*(said(n, f"message {n} " + "x" * 40) for n in range(1, 21)))
    models = ScriptedModels(lambda turns, model: ModelUnavailable("away"))
    memory = Memory(store, models, summarise_above=100, clock=lambda: now[0])
    asked = []
    for seconds in (0, 1, 60, 61, 61):
        now[0] += seconds
        await memory.summarise(run("020.000000"))
        asked.append(len(models.asked))
    assert asked == [1, 1, 2, 2, 3]


async def test_a_summary_is_a_run_with_its_cost_and_no_reply(store: Store) -> None:
    store.append(*(said(n, f"message {n} " + "x" * 40) for n in range(1, 21)))
    reply = replace(run("020.000000"), user_id="U1", started_at=5.0)
    store.append(reply)
    await Memory(store, ScriptedModels(summary), summarise_above=100).summarise(reply)
    (kept,) = await store.runs(RunQuery(kinds=("review",)), with_steps=True)
    assert (kept.parent_run_id, kept.user_id, kept.model) == ("r", "U1", "m-fast")
    assert (kept.input_tokens, kept.output_tokens, kept.cost_usd) == (10, 5, 0.001)
    assert [s.kind for s in kept.steps] == ["model"]
    figures = await store.metrics(RunQuery())
    assert figures.total.runs == 1
    assert (figures.behind.runs, figures.behind.cost_usd) == (1, 0.001)
    assert (figures.behind.input_tokens, figures.behind.output_tokens) == (10, 5)


async def test_what_is_deleted_while_it_is_summarised_is_in_no_summary(store: Store) -> None:
    store.append(*(said(n, f"message {n} " + "x" * 40) for n in range(1, 21)))
    models = ScriptedModels(summary)
    models.hold = asyncio.Event()
    memory = Memory(store, models, summarise_above=100)
    work = asyncio.create_task(memory.summarise(run("020.000000")))
    async with asyncio.timeout(PATIENCE_S):
        while not models.asked:  # noqa: ASYNC110 (the double tells nobody)
            await asyncio.sleep(0)
        await store.delete_message("C1", "003.000000")
        models.hold.set()
        await work
    assert await store.latest_summary("C1", "001.000000") is None


async def test_a_model_is_never_given_more_than_it_can_read(store: Store) -> None:
    models = ScriptedModels(summary)
    store.append(*(said(n, f"message {n} " + "x" * 5_000) for n in range(1, 21)))
    memory = Memory(store, models)
    for _ in range(3):
        await memory.summarise(run("020.000000"))
    asked = [turns[-1].text for _, turns in models.asked]
    assert all(len(text) < 13_000 for text in asked)
    assert ["message 1 " in asked[0], "message 2 " in asked[0]] == [True, True]
    assert "message 3 " in asked[1]
    store.append(said(31, "y" * 60_000), *(said(n, "z") for n in range(32, 50)))
    for _ in range(12):
        await memory.summarise(run("049.000000"))
    assert all(len(turns[-1].text) < 13_000 for _, turns in models.asked)
    found = await store.latest_summary("C1", "001.000000")
    assert found is not None
    assert found.until_ts > "031"


async def test_the_first_message_of_a_thread_has_nothing_before_it(store: Store) -> None:
    store.append(said(1, "other"))
    memory = Memory(store, ScriptedModels(summary))
    assert await memory.before(request("hi", "001.000000")) == []
