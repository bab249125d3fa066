"""Limits: reached, told, over again; what was spent is never forgotten by a restart."""

from typing import Self

import pytest

from database.records import Run, RunQuery
from database.store import Store
from orchestrator.limits import LimitReached, Limits
from orchestrator.policy import Policy
from orchestrator.requests import ReplyFinished
from tests.orchestrator.conftest import House
from tests.orchestrator.fakes import ScriptedModels, request

NOON = 1_800_014_400.0
"""A day at 12:00 UTC."""


class Watch:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


class Door:
    """Limits on a clock that the test moves."""

    def __init__(self, store: Store) -> None:
        self.watch = Watch()
        self.policy = Policy(store.policy)
        self.limits = Limits(self.policy, store.policy, clock=self.watch)

    @classmethod
    async def with_policies(cls, store: Store, **policies: str) -> Self:
        door = cls(store)
        for key, value in policies.items():
            await door.policy.set(key, value, "U1")
        return door

    def ask(self, user: str = "U1", channel: str = "C1", end: bool = True) -> str:
        """What somebody is told; nothing when let in."""
        asked = request("hello", user_id=user, channel_id=channel)
        try:
            self.limits.admit(asked)
        except LimitReached as reached:
            return str(reached)
        if end:
            self.limits.done(asked)
        return ""


async def test_so_many_a_minute_and_then_again(store: Store) -> None:
    door = await Door.with_policies(store, person_requests_per_minute="2")
    assert [door.ask(), door.ask()] == ["", ""]
    door.watch.now += 20
    told = door.ask()
    assert told == (
        "You have reached your limit of 2 requests a minute. Ask again in 40 s. An approver can "
        "raise it: `policy set person_requests_per_minute.U1 NUMBER`, said to me."
    )
    assert door.ask("U2") == ""
    door.watch.now += 40
    assert door.ask() == ""


async def test_one_limit_for_each_scope_and_the_narrowest_speaks_first(store: Store) -> None:
    door = await Door.with_policies(
        store, channel_requests_per_hour="2", workspace_requests_per_hour="3"
    )
    assert [door.ask("U1"), door.ask("U2")] == ["", ""]
    assert "This channel has reached its limit of 2 requests an hour" in door.ask("U3")
    assert "in 60 minutes" in door.ask("U3")
    assert door.ask("U3", "D3") == "", "a direct message is a person's, not a channel's"
    assert "This workspace has reached its limit of 3" in door.ask("U4", "C2")


async def test_at_once_frees_itself(store: Store) -> None:
    door = await Door.with_policies(store, person_at_once="1")
    assert door.ask(end=False) == ""
    assert "1 requests at the same time. Ask again as soon as one of them is answered" in door.ask()
    door.limits.done(request("hello"))
    assert door.ask() == ""


@pytest.mark.parametrize(
    ("key", "limit", "says"),
    [
        ("person_tokens_per_day", "1000", "You have reached your limit of 1,000 tokens a day"),
        ("channel_tokens_per_day", "1000", "This channel has reached its limit"),
        ("workspace_usd_per_day", "0.50", "This workspace has reached its limit of $0.50 a day"),
    ],
)
async def test_what_was_spent_today_counts_also_after_a_restart(
    store: Store, key: str, limit: str, says: str
) -> None:
    door = await Door.with_policies(store, **{key: limit})
    run = Run("r1", "hello", "a", user_id="U1", channel_id="C1", started_at=NOON, cost_usd=0.5,
              input_tokens=900, output_tokens=100)  # fmt: skip
    assert door.ask() == ""
    store.append(run, Run("old", "x", "a", user_id="U1", channel_id="C1", input_tokens=10**9,
                          cost_usd=99.0, started_at=NOON - 86_400))  # fmt: skip
    door.limits.spend(run)
    told = door.ask()
    assert says in told
    assert "Ask again in 12 hours, when the day begins (00:00 UTC)" in told
    restarted = Door(store)
    await restarted.limits.load()
    assert restarted.ask() == told
    restarted.watch.now += 12 * 3600
    assert restarted.ask() == ""


async def test_approvers_hear_at_four_fifths_and_are_asked_at_all_of_it(store: Store) -> None:
    door = await Door.with_policies(
        store, workspace_usd_per_day="1", person_tokens_per_day="1000", channel_usd_per_day="1"
    )

    def spend(usd: float, tokens: int, channel: str = "C1") -> None:
        door.limits.spend(
            Run("r", "x", "a", user_id="U1", channel_id=channel, started_at=NOON, cost_usd=usd,
                input_tokens=tokens)
        )  # fmt: skip

    spend(0.79, 790, "D1")
    assert door.limits.alerts() == []
    spend(0.05, 10, "D1")
    money, person = door.limits.alerts()
    assert money.text == (
        "This workspace has used $0.84 of $1.00 a day (84%). It begins anew at 00:00 UTC."
    )
    assert person.text.startswith("<@U1> has used 800 of 1,000 tokens a day (80%).")
    spend(1.0, 0)
    first, second, third = door.limits.alerts()
    assert first.text.startswith("This workspace has used up $1.00 a day.")
    assert "`policy set workspace_usd_per_day NUMBER`" in first.text
    assert "`policy set channel_usd_per_day.C1 NUMBER`" in second.text
    assert third == person
    assert money.about != first.about
    assert door.ask(), "and nobody is answered"
    await door.policy.set("workspace_usd_per_day", "10", "U9")
    await door.policy.set("channel_usd_per_day.C1", "10", "U9")
    assert door.limits.alerts() == [person]
    assert door.ask() == ""


def step_of(workflow: str | None, agent: str = "coder", usd: float = 0.5) -> Run:
    route = {"workflow": workflow} if workflow else None
    return Run(f"r-{workflow}-{agent}", "x", agent, user_id="U1", channel_id="C1", started_at=NOON,
               cost_usd=usd, input_tokens=100, route=route)  # fmt: skip


async def test_an_agent_and_a_workflow_have_a_days_budget(store: Store) -> None:
    door = await Door.with_policies(store)
    await door.policy.set("agent_usd_per_day.coder", "1", "U9")
    await door.policy.set("workflow_tokens_per_day.weekly-report", "100", "U9")
    store.append(step_of(None), step_of("weekly-report", "writer"))
    await door.limits.load()
    assert door.limits.agent_may("coder")
    weekly = request("again", workflow="weekly-report")
    with pytest.raises(LimitReached, match="The workflow weekly-report has reached its limit of"):
        door.limits.admit(weekly)
    door.limits.spend(step_of(None, usd=0.4))
    near, full = sorted(door.limits.alerts(), key=lambda one: one.share)
    assert near.text.startswith("The agent coder has used $0.90 of $1.00 a day (90%).")
    assert "`policy set workflow_tokens_per_day.weekly-report NUMBER`" in full.text
    door.limits.spend(step_of(None, usd=0.1))
    with pytest.raises(
        LimitReached, match=r"The agent coder has reached its limit of \$1.00 a day"
    ):
        door.limits.admit_agent("coder")
    assert not door.limits.agent_may("coder")
    assert door.limits.agent_may("writer")
    assert door.ask() == "", "others are answered by others"
    door.watch.now += 12 * 3600
    door.limits.admit(weekly)
    assert door.limits.agent_may("coder")


async def test_an_agent_that_spent_its_budget_answers_nobody_and_is_not_blamed(
    store: Store,
) -> None:
    house = House(store, ScriptedModels(lambda _, __: "yes"))
    policy = Policy(store.policy)
    house.orchestrator._limits = limits = Limits(policy, store.policy)
    await house.start()
    first = await house.answer(request("hello"), "1.2")
    assert isinstance(first, ReplyFinished)
    await policy.set(f"agent_tokens_per_day.{first.run.agent}", "1", "U1")
    await limits.load()
    refused = await house.answer(request("hello", "2.000001"), "2.2")
    assert isinstance(refused, ReplyFinished)
    assert f"The agent {first.run.agent} has reached its limit" in str(refused.problem)
    assert len(house.models.asked) == 1


async def test_one_persons_own_limit_and_no_limit_at_all(store: Store) -> None:
    door = await Door.with_policies(store, person_at_once="0")
    assert door.ask()
    await door.policy.set("person_at_once.U1", "unlimited", "U9")
    assert [door.ask(end=False) for _ in range(200)] == [""] * 200
    assert door.ask("U2")


async def test_who_is_over_a_limit_is_told_in_the_thread_and_no_agent_is_blamed(
    store: Store,
) -> None:
    house = House(store, ScriptedModels(lambda _, __: "yes"))
    policy = Policy(store.policy)
    await policy.set("person_requests_per_hour", "1", "U1")
    house.orchestrator._limits = Limits(policy, store.policy)
    await house.start()
    first = await house.answer(request("hello"), "1.2")
    refused = await house.answer(request("and now?", "2.000001"), "2.2")
    assert first.problem is None
    assert isinstance(refused, ReplyFinished)
    assert str(refused.problem).startswith("You have reached your limit of 1 requests an hour.")
    assert len(house.models.asked) == 1
    total = (await store.metrics(RunQuery())).total
    assert (total.runs, total.judged) == (2, 0)
