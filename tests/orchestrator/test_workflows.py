import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agents.errors import ModelUnavailable
from database import migrations, rows
from database.errors import InputError, ModelError, UnknownName
from database.learning import Change, Decision
from database.records import (
    PUBLIC,
    Document,
    Reader,
    Run,
    RunQuery,
    content_hash,
    one_person,
    private_channel,
)
from database.store import RECORD, Store
from orchestrator.requests import Request
from orchestrator.workflows import Workflows
from tests.orchestrator.conftest import House
from tests.orchestrator.fakes import ScriptedModels, agent, away, request

COOK = agent("cook", "how do I cook rice")
ME = Reader("U1", frozenset({"C9"}))


def done(text: str, audience: str = PUBLIC, name: str = "generalist") -> Run:
    return Run(f"r-{text}", text, name, reply="ok", audience=audience)


def body_of(text: str) -> dict[str, Any]:
    return {"description": text, "steps": [{"request": text, "agent": "generalist"}], "inputs": []}


async def house_of(store: Store) -> House:
    models = ScriptedModels(lambda turns, model: f"Answer to {turns[-1].text}")
    return await House(store, models).start(COOK)


async def test_a_saved_run_replays_with_new_inputs(store: Store) -> None:
    house = await house_of(store)
    flows = house.workflows
    saved = await flows.save(
        "Weekly Report", [done("Sum up sales for Acme Corp on 2026-11-20")], "U1", PUBLIC
    )
    assert (saved.name, saved.author, saved.origin, saved.number) == (
        "weekly-report", "U1", "person", 1,
    )  # fmt: skip
    assert await flows.names(ME) == ["weekly-report"]
    inputs = await flows.inputs("weekly-report", ME)
    assert {i.name: i.example for i in inputs} == {"name": "Acme Corp", "date": "2026-11-20"}
    (step,) = await flows.requests("Weekly report", {"name": "Bolt"}, request("run it"))
    assert step.text == "Sum up sales for Bolt on 2026-11-20"


async def test_steps_replay_in_order_each_seeing_the_answers_before(store: Store) -> None:
    house = await house_of(store)
    await house.workflows.save(
        "two", [done("News about Acme"), done("Shorten the news about Acme", name="cook")],
        "U1", PUBLIC,
    )  # fmt: skip
    base = request("run two name=Bolt", "5.0")
    first, second = await house.workflows.requests("two", {"name": "Bolt"}, base)
    assert second.parent_run_id == first.run_id != base.run_id
    await house.answer(first, "5.1")
    finished = await house.answer(second, "5.2")
    assert finished.run.agent == "cook"
    assert (finished.run.route or {})["workflow"] == "two"
    [kept] = await house.store.documents("runbook")
    assert (finished.run.route or {})["workflow_version"] == kept.version
    turns = [t.text for t in house.models.asked[-1][1] if t.role != "system"]
    assert turns == [
        "News about Bolt", "Answer to News about Bolt", "Shorten the news about Bolt",
    ]  # fmt: skip


async def test_run_inline_returns_the_last_answer_and_records_tasks(store: Store) -> None:
    house = await house_of(store)
    await house.workflows.save("two", [done("News about Acme"), done("Shorter")], "U1", PUBLIC)
    heard: list[Run] = []

    async def hear(run: Run) -> None:
        heard.append(run)

    house.bus.on("run_recorded", hear)
    assert await house.workflows.run_inline("two", {}, ME) == "Answer to Shorter"
    assert await house.bus.drain()
    assert [run.request for run in heard] == ["News about Acme", "Shorter"]
    runs = await store.runs(RunQuery(kinds=("task",)))
    assert {run.request for run in runs} == {"News about Acme", "Shorter"}
    assert {run.audience for run in runs} == {one_person("U1")}
    assert [(run.route or {})["workflow"] for run in runs] == ["two"] * 2


async def test_a_step_whose_agent_is_gone_is_routed_anew(store: Store) -> None:
    house = await house_of(store)
    await house.workflows.save("old", [done("News", name="retired")], "U1", PUBLIC)
    (step,) = await house.workflows.requests("old", {}, request("run old"))
    assert step.agent is None
    assert await house.workflows.run_inline("old", {}, ME) == "Answer to News"


@pytest.mark.parametrize(
    ("audiences", "asked", "kept"),
    [
        ((PUBLIC,), PUBLIC, PUBLIC),
        ((PUBLIC, private_channel("C9")), PUBLIC, private_channel("C9")),
        ((private_channel("C9"), private_channel("C8")), PUBLIC, one_person("U1")),
        ((one_person("U1"),), PUBLIC, one_person("U1")),
        ((PUBLIC,), private_channel("C9"), private_channel("C9")),
    ],
)
async def test_only_those_who_may_read_all_sources_see_it(
    store: Store, audiences: tuple[str, ...], asked: str, kept: str
) -> None:
    house = await house_of(store)
    runs = [done(f"News {n}", audience) for n, audience in enumerate(audiences)]
    saved = await house.workflows.save("flow", runs, "U1", asked)
    assert saved.audience == kept
    stranger = Reader("U2")
    if kept == PUBLIC:
        assert await house.workflows.names(stranger) == ["flow"]
    else:
        assert await house.workflows.names(stranger) == []
        for call in (house.workflows.inputs("flow", stranger),
                     house.workflows.run_inline("flow", {}, stranger)):  # fmt: skip
            with pytest.raises(UnknownName):
                await call


@pytest.mark.parametrize("name", ["", "  ", "ünï", "a/b", "x" * 65, "--"])
async def test_a_bad_name_is_refused_with_advice(store: Store, name: str) -> None:
    house = await house_of(store)
    with pytest.raises(InputError, match="weekly-report"):
        await house.workflows.save(name, [done("x")], "U1", PUBLIC)


async def test_a_taken_name_and_nothing_to_save_are_refused(store: Store) -> None:
    house = await house_of(store)
    await house.workflows.save("flow", [done("x")], "U1", PUBLIC)
    with pytest.raises(InputError, match="taken"):
        await house.workflows.save("flow", [done("y")], "U1", PUBLIC)
    with pytest.raises(InputError, match="Ask me something first"):
        await house.workflows.save("other", [Run("r", "x", "generalist")], "U1", PUBLIC)


async def test_a_private_name_neither_takes_nor_tells_the_name_for_others(store: Store) -> None:
    house = await house_of(store)
    flows, channel = house.workflows, private_channel("C9")
    for author, audience in (("U1", one_person("U1")), ("U2", one_person("U2")), ("U3", channel)):
        saved = await flows.save("plan", [done(f"News by {author}", audience)], author, audience)
        assert (saved.name, saved.audience) == ("plan", audience)
    public = await flows.save("plan", [done("News by all")], "U4", PUBLIC)
    assert public.name == "plan"

    async def runs(base: Request) -> str:
        return (await flows.requests("plan", {}, base))[0].text

    direct = request("run plan", audience=one_person("U1"), reader=ME)
    assert await flows.names(ME) == ["plan"]
    assert await flows.named_in("do the plan", ME) == ["plan"]
    assert await runs(direct) == "News by U1", "one's own goes first"
    there = request("run plan", audience=channel, channel_id="C9", reader=ME)
    assert await runs(there) == "News by U3", "never what others here may not read"
    assert await runs(request("run plan", reader=ME)) == "News by all"
    assert await runs(request("run plan", reader=Reader("U5"))) == "News by all"
    with pytest.raises(InputError, match="The name plan is taken; choose another"):
        await flows.save("plan", [done("Else", one_person("U5"))], "U5", PUBLIC)


def keep_as_before(record: Path, name: str, audience: str) -> None:
    """Two versions of a workflow, as they were written before private names were anybody's."""
    made = [
        Document("runbook", name, body, content_hash(body), number, origin="person", author="U1",
                 audience=audience, active=number == 2)
        for number, body in enumerate((body_of("Old news"), body_of("News")), start=1)
    ]  # fmt: skip
    marks = ", ".join("?" * len(rows.DOCUMENT.split(", ")))
    with closing(sqlite3.connect(record)) as connection, connection:
        connection.executemany(
            f"INSERT INTO documents ({rows.DOCUMENT}) VALUES ({marks})",
            [rows.document_values("T1", document) for document in made],
        )


async def test_private_names_of_before_are_freed_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrations.steps("record")
    before = {name: sql for name, sql in steps.items() if name < "0007"}
    monkeypatch.setattr(migrations, "steps", lambda _: before)
    await Store.open(tmp_path, "T1").close()
    for name, audience in (("plan", one_person("U1")), ("report", PUBLIC)):
        keep_as_before(tmp_path / RECORD, name, audience)
    monkeypatch.undo()

    store = Store.open(tmp_path, "T1")
    house = await house_of(store)
    direct = request("run plan", audience=one_person("U1"), reader=ME)
    assert (await house.workflows.requests("plan", {}, direct))[0].text == "News"
    assert await house.workflows.names(ME) == ["plan", "report"]
    assert (await house.workflows.save("plan", [done("All")], "U2", PUBLIC)).name == "plan"
    for name, known in (("plan", one_person("U1")), ("report", PUBLIC)):
        with pytest.raises(InputError, match="is taken"):
            await house.workflows.save(name, [done("Else", known)], "U1", known)
    assert len(await store.history("runbook", "report")) == 2
    (private,) = [d for d in await store.documents("runbook") if d.audience != PUBLIC]
    assert len(await store.history("runbook", private.name)) == 2
    await store.close()


async def test_a_request_names_a_workflow_by_whole_words_of_those_it_may_see(store: Store) -> None:
    flows = (await house_of(store)).workflows
    await flows.save("weekly-report", [done("News")], "U1", PUBLIC)
    await flows.save("trip", [done("News", "person:U2")], "U2", "person:U2")
    assert await flows.named_in("Please do our Weekly report, for Acme.", ME) == ["weekly-report"]
    assert await flows.named_in("weekly-report", ME) == ["weekly-report"]
    assert await flows.named_in("biweekly reports, and the weekly reporting", ME) == []
    assert await flows.named_in("go by my trip", ME) == []
    assert await flows.named_in("go by my trip", Reader("U2")) == ["trip"]


async def test_no_document_is_named_by_a_person(store: Store) -> None:
    house = await house_of(store)
    await house.workflows.save("plan", [done("News", one_person("U0ADA"))], "U0ADA", PUBLIC)
    (document,) = await store.documents("runbook")
    assert document.name.startswith("plan@")
    assert "U0ADA" not in document.name


async def test_the_same_save_again_is_one_save(store: Store) -> None:
    house = await house_of(store)
    for audience in (PUBLIC, one_person("U1")):
        runs = [done("News about Acme", audience), done("Shorter", audience)]
        name = f"flow-{audience[:3]}"
        first = await house.workflows.save(name, runs, "U1", audience)
        assert await house.workflows.save(name, runs, "U1", audience) == first
        for other, author in ((runs, "U2"), (runs[:1], "U1")):
            if audience == PUBLIC or author == "U1":
                with pytest.raises(InputError, match="is taken"):
                    await house.workflows.save(name, other, author, audience)


async def test_inputs_are_checked(store: Store) -> None:
    house = await house_of(store)
    await house.workflows.save("flow", [done("Write to [email] about Acme")], "U1", PUBLIC)
    with pytest.raises(InputError, match="has no input called town"):
        await house.workflows.requests("flow", {"town": "x"}, request("run"))
    with pytest.raises(InputError, match="Give email"):
        await house.workflows.requests("flow", {}, request("run"))
    given = {"email": "bob@example.org"}
    (step,) = await house.workflows.requests("flow", given, request("run"))
    assert step.text == "Write to bob@example.org about Acme"


async def test_a_step_that_fails_ends_the_inline_run(store: Store) -> None:
    house = await house_of(store)
    await house.workflows.save("flow", [done("x"), done("y")], "U1", PUBLIC)
    house.models.script = away
    with pytest.raises(ModelError):
        await house.workflows.run_inline("flow", {}, ME)
    assert issubclass(ModelUnavailable, ModelError)


async def test_what_was_learned_gives_way_while_learning_is_off(store: Store) -> None:
    house = await house_of(store)
    off = False
    flows = Workflows(store, house.pool, house.redactor, off=lambda: off)
    mine = await flows.save("mine", [done("News about Acme")], "U1", PUBLIC)
    changes = (
        Change("runbook", "found", None, body_of("A pattern")),
        Change("runbook", "mine", mine.version, body_of("Better news")),
    )
    await store.decide(Decision(changes=changes))
    assert await flows.names(ME) == ["found", "mine"]
    off = True
    assert await flows.names(ME) == ["mine"]
    assert (await flows.requests("mine", {}, request("run it")))[0].text == "News about Acme"
    off = False
    assert (await flows.requests("mine", {}, request("run it")))[0].text == "Better news"
