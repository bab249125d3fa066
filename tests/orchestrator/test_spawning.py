from typing import Any

import pytest

from agents.errors import ModelAnswerMalformed
from database.errors import BudgetExceeded, InputError, ModelError
from database.records import Reader, RunQuery, one_person, private_channel
from database.store import Store
from orchestrator.intents import wanted_specialist
from orchestrator.requests import ReplyFinished
from orchestrator.spawning import Spawner
from tests.orchestrator.conftest import House
from tests.orchestrator.fakes import ScriptedModels, agent, request

DRAFT = {
    "name": "tax-helper",
    "specialty": "taxes of small firms",
    "description": "Answers questions about taxes.",
    "instructions": "You are a careful helper with taxes. Ask for the country first.",
    "examples": ["how do I file my taxes", "when is tax due", "what can I deduct"],
}


async def house_of(store: Store, *drafts: object) -> House:
    models = ScriptedModels(lambda turns, model: "Answer.")
    models.structured_answers = list(drafts)  # type: ignore[arg-type]
    return await House(store, models).start(agent("cook", "how do I cook rice"))


async def test_a_described_specialty_becomes_an_agent_that_answers(store: Store) -> None:
    house = await house_of(store, DRAFT)
    name = await house.spawner.spawn("Taxes, ask ann@example.org", "U1")
    document = await store.document("agent", name)
    assert document is not None
    assert (name, document.origin, document.author, document.number) == (
        "tax-helper", "spawn", "U1", 1,
    )  # fmt: skip
    assert document.reason == "Taxes, ask [email]"
    finished = await house.answer(request("how do I file my taxes"), "2.0")
    assert finished.run.agent == "tax-helper"


async def test_the_draft_of_a_specialist_is_paid_for_in_a_run(store: Store) -> None:
    """In the run of the reply when a person asked for it, else in one of its own."""
    house = await house_of(store, DRAFT, DRAFT)
    finished = await house.answer(request("create a specialist for taxes"), "2.0")
    assert (finished.run.input_tokens, finished.run.cost_usd) == (10, 0.001)
    assert [s.kind for s in finished.run.steps] == ["model", "tool"]
    await house.spawner.heard_by(one_person("U1")).spawn("Taxes of people", "U1")
    (own,) = await store.runs(RunQuery(kinds=("task",)), with_steps=True)
    assert (own.user_id, own.audience, own.cost_usd) == ("U1", one_person("U1"), 0.001)
    assert [(s.kind, s.arguments) for s in own.steps] == [("model", {"purpose": "drafting"})]


async def test_a_taken_name_gets_a_number(store: Store) -> None:
    house = await house_of(store, DRAFT | {"name": "cook"}, DRAFT | {"name": "cook"})
    assert await house.spawner.spawn("Another cook", "U1") == "cook-2"
    assert await house.spawner.spawn("A third cook", "U1") == "cook-3"


@pytest.mark.parametrize(
    ("limits", "word"), [({"per_day": 1}, "24 hours"), ({"in_total": 1}, "spawned")]
)
async def test_past_the_budget_nothing_is_made(
    store: Store, limits: dict[str, int], word: str
) -> None:
    house = await house_of(store, DRAFT, DRAFT)
    spawner = Spawner(store, house.models, house.pool, str, **limits)  # type: ignore[arg-type]
    await spawner.spawn("Taxes of firms", "U1")
    before = set(house.pool.definitions)
    with pytest.raises(BudgetExceeded, match=word):
        await spawner.spawn("Taxes of people", "U1")
    assert set(house.pool.definitions) == before
    assert len(house.models.structured_answers) == 1


async def test_improving_a_spawned_agent_does_not_free_its_place(store: Store) -> None:
    house = await house_of(store, DRAFT, DRAFT)
    spawner = Spawner(store, house.models, house.pool, str, in_total=1)
    name = await spawner.spawn("Taxes of firms", "U1")
    document = await store.document("agent", name)
    assert document is not None
    await store.activate(
        "agent", name, dict(document.body) | {"description": "Better."}, base=document.version,
        origin="person", author="U1", reason=None,
    )  # fmt: skip
    with pytest.raises(BudgetExceeded):
        await spawner.spawn("More taxes", "U1")


@pytest.mark.parametrize("described", ["", " x ", "y" * 1001])
async def test_what_cannot_be_drafted_is_said(store: Store, described: str) -> None:
    house = await house_of(store)
    with pytest.raises(InputError):
        await house.spawner.spawn(described, "U1")


async def test_a_model_that_cannot_draft_leaves_nothing(store: Store) -> None:
    house = await house_of(store, ModelAnswerMalformed("No JSON. Try another model."))
    with pytest.raises(ModelError):
        await house.spawner.spawn("Taxes of firms", "U1")
    assert set(house.pool.definitions) == {"generalist", "cook"}


async def test_people_ask_for_a_specialist_in_their_own_words(store: Store) -> None:
    house = await house_of(store, DRAFT)
    events = await house.ask(request("Please create a specialist for taxes of small firms."))
    finished = events[-1]
    assert isinstance(finished, ReplyFinished)
    assert finished.problem is None
    assert "tax-helper" in (finished.run.reply or "")
    assert [(s.kind, s.name, s.ok) for s in finished.run.steps] == [
        ("model", "m-strong", True),
        ("tool", "spawn_specialist", True),
    ]
    document = await store.document("agent", "tax-helper")
    assert document is not None
    assert (document.reason, document.author) == ("taxes of small firms", "U1")


async def test_a_specialist_that_cannot_be_made_is_a_problem_in_words(store: Store) -> None:
    house = await house_of(store, ModelAnswerMalformed("No JSON. Try another model."))
    finished = (await house.ask(request("create an expert in taxes")))[-1]
    assert isinstance(finished, ReplyFinished)
    assert finished.problem == "I could not answer. No JSON. Try another model."
    assert [s.ok for s in finished.run.steps] == [False, False]


async def test_wanting_the_answer_better_makes_no_second_specialist(store: Store) -> None:
    house = await house_of(store, DRAFT, DRAFT)
    await house.ask(request("create a specialist for taxes"))
    again = request("create a specialist for taxes", "2.1", instruction="say it shorter")
    await house.ask(again)
    assert set(house.pool.definitions) == {"generalist", "cook", "tax-helper"}


async def test_a_specialist_made_in_private_answers_only_those_who_were_there(
    store: Store,
) -> None:
    house = await house_of(store, DRAFT)
    board = private_channel("C9")
    made = request("create a specialist for our secret tax case", "1.1", audience=board)
    first = (await house.ask(made))[-1]
    assert isinstance(first, ReplyFinished)
    assert "for those who can read this" in (first.run.reply or "")
    asked = "how do I file my taxes"

    async def answers(ts: str, **where: Any) -> tuple[str, str]:
        finished = (await house.ask(request(asked, ts, **where)))[-1]
        assert isinstance(finished, ReplyFinished)
        return finished.run.agent, str(finished.run.route)

    assert (await answers("2.1", audience=board, channel_id="C9"))[0] == "tax-helper"
    agent, route = await answers("3.1")
    assert agent != "tax-helper"
    assert "tax-helper" not in route
    in_private = {"audience": one_person("U1"), "channel_id": "D1"}
    member = Reader("U1", frozenset({"C9"}))
    assert (await answers("4.1", reader=member, **in_private))[0] == "tax-helper"
    assert (await answers("5.1", **in_private))[0] != "tax-helper"
    assert (await answers("6.1", agent="tax-helper"))[0] != "tax-helper"


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("create a specialist for contracts", "contracts"),
        ("Can you make me a new agent that reviews SQL?", "reviews SQL"),
        ("spawn an expert in Roman history", "Roman history"),
        ("add a specialist: onboarding questions", "onboarding questions"),
        ("create a table for the report", None),
        ("who is our specialist for contracts?", None),
        ("I met a travel agent, create a poem about her", None),
        ("create a specialist", None),
    ],
)
def test_only_asking_for_a_specialist_counts(text: str, described: str | None) -> None:
    assert wanted_specialist(text) == described
