"""Metrics and what routing learns from, against a plain count of the same runs."""

from statistics import median

import pytest

from database.records import AgentRecord, Feedback, Outcome, Person, Run, RunQuery
from database.store import Store

DAY = 86400.0
START = 20_000 * DAY


def run(run_id: str, **changes: object) -> Run:
    values: dict[str, object] = {"started_at": START, "agent": "a", **changes}
    return Run(run_id, "q", **values)  # type: ignore[arg-type]


def rated(run_id: str, value: float, at: float = 1.0, **changes: object) -> Feedback:
    values: dict[str, object] = {"kind": "rating", "created_at": at, **changes}
    name = f"{run_id}/{values}"
    return Feedback(name, run_id, value=value, **values)  # type: ignore[arg-type]


async def test_an_empty_record(store: Store) -> None:
    metrics = await store.metrics(RunQuery())
    assert (metrics.total.runs, metrics.by_agent, metrics.by_day) == (0, (), ())
    assert metrics.total.p50_ms is None
    assert metrics.total.success_rate is None
    assert metrics.total.satisfaction is None


async def test_speed_tokens_and_cost(store: Store) -> None:
    durations = [float(n * n) for n in range(1, 22)]
    for n, duration in enumerate(durations):
        cost = None if n == 0 else 0.5
        tokens = {"input_tokens": 10, "output_tokens": 2}
        at = START + n * DAY / 7
        store.append(run(str(n), agent="ab"[n % 2], started_at=at, duration_ms=duration,
                         cost_usd=cost, **tokens))  # fmt: skip
    store.append(run("bare", duration_ms=None))
    metrics = await store.metrics(RunQuery(limit=1))
    total = metrics.total
    assert (total.runs, total.input_tokens, total.output_tokens) == (22, 210, 42)
    assert (total.cost_usd, total.unpriced_runs) == (10.0, 2)
    assert total.p50_ms == median(durations)
    assert total.p95_ms == pytest.approx(sorted(durations)[19])
    assert [(row.label, row.runs) for row in metrics.by_agent] == [("a", 12), ("b", 10)]
    assert metrics.by_agent[1].p50_ms == median(durations[1::2])
    assert [(row.label, row.runs) for row in metrics.by_day] == [
        ("2024-10-04", 8), ("2024-10-05", 7), ("2024-10-06", 7),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "feedback", "judged", "succeeded"),
    [
        (Outcome(True, source="check"), [rated("r", -1)], 1, 1),
        (Outcome(False, source="user"), [], 1, 0),
        (Outcome(None, source="check"), [rated("r", 1)], 1, 1),
        (Outcome(True, source="judge"), [], 0, 0),
        (Outcome(True, source="implicit"), [rated("r", -1)], 1, 0),
        (Outcome(), [rated("r", 1, 1.0), rated("r", -1, 2.0)], 1, 0),
        (Outcome(), [rated("r", -1, 1.0), rated("r", 1, 2.0)], 1, 1),
        (Outcome(), [rated("r", 0, kind="better")], 1, 0),
        (Outcome(), [rated("r", 1, kind="reaction", weight=0.4)], 0, 0),
        (Outcome(), [rated("elsewhere", 1)], 0, 0),
    ],
)
async def test_who_judges(
    store: Store, outcome: Outcome, feedback: list[Feedback], judged: int, succeeded: int
) -> None:
    store.append(run("r", outcome=outcome), *feedback)
    metrics = await store.metrics(RunQuery())
    assert (metrics.total.judged, metrics.total.succeeded) == (judged, succeeded)
    assert (metrics.by_agent[0].judged, metrics.by_day[0].succeeded) == (judged, succeeded)


async def test_a_persons_last_rating_counts(store: Store) -> None:
    store.append(
        run("r"),
        rated("r", 1, 1.0, user_id="U1"),
        rated("r", -1, 2.0, user_id="U1"),
        rated("r", 1, 3.0, user_id="U2"),
        rated("r", -1, 4.0, user_id="U2", kind="reason"),
    )
    total = (await store.metrics(RunQuery())).total
    assert (total.feedback_up, total.feedback_down) == (1, 1)
    assert total.satisfaction == 0.5


async def test_only_the_runs_asked_for_count_their_feedback(store: Store) -> None:
    store.append(run("old", started_at=START - 1), rated("old", 1), run("new"), rated("new", -1))
    total = (await store.metrics(RunQuery(since=START))).total
    assert (total.runs, total.judged, total.feedback_up, total.feedback_down) == (1, 1, 0, 1)


async def test_a_reaction_taken_back_counts_no_more(store: Store) -> None:
    def emoji(run_id: str, user: str, at: float, weight: float = 0.5) -> Feedback:
        return rated(run_id, -1, at, kind="reaction", weight=weight, user_id=user)

    store.append(
        run("back", agent="a"), emoji("back", "U1", 1), emoji("back", "U1", 2, 0.0),
        run("early", agent="b"), emoji("early", "U1", 1, 0.0), emoji("early", "U1", 2),
        run("again", agent="c"), emoji("again", "U1", 1), emoji("again", "U1", 2, 0.0),
        emoji("again", "U1", 3),
        run("other", agent="d"), emoji("other", "U1", 1), emoji("other", "U2", 2, 0.0),
    )  # fmt: skip
    weights = {record.agent: record.judged for record in await store.agent_record(0.0)}
    assert weights == {"a": 0.0, "b": 0.0, "c": 0.5, "d": 0.5}


async def test_what_routing_learns_from(store: Store) -> None:
    good = Outcome(True, None, "check")
    store.append(
        run("r1", task_type="t", duration_ms=10.0, cost_usd=1.0, outcome=good),
        run("r2", task_type="t", duration_ms=30.0),
        rated("r2", -1, kind="reaction", weight=0.25),
        run("r3", task_type="t", duration_ms=20.0),
        rated("r3", 1),
        rated("r3", -1, kind="rephrase", weight=0.5),
        run("r4", agent="b"),
        run("r5", agent="b"),
        rated("r5", 1, 1.0, kind="reaction", weight=0.9),
        rated("r5", 1, 2.0, kind="reaction", weight=0.9),
        run("task", kind="task"),
        run("old", started_at=START - 1),
    )  # fmt: skip
    assert await store.agent_record(START) == [
        AgentRecord("a", "t", 3, 2.25, 2.0, 20.0, 1.0),
        AgentRecord("b", None, 2, 1.0, 1.0, None, None),
    ]


async def test_nothing_is_learned_from_who_and_where_it_was_declined(store: Store) -> None:
    def seen(run_id: str, user: str, channel: str = "C1") -> Run:
        return run(run_id, agent=run_id, user_id=user, channel_id=channel)

    await store.save_person(Person("U1", "Ada", {"learning": "no"}))
    await store.save_person(Person("U2", "Grace", {"learning": "yes"}))
    store.append(
        seen("ada", "U1"), seen("grace", "U2"), seen("nobody", ""), seen("there", "U2", "C2"),
        rated("grace", -1, kind="reaction", weight=0.5, user_id="U1"),
        rated("nobody", -1, kind="reaction", weight=0.5, user_id="U2"),
    )  # fmt: skip

    async def learned() -> dict[str, float]:
        return {record.agent: record.judged for record in await store.agent_record(0.0)}

    assert await learned() == {"grace": 0.0, "nobody": 0.5, "there": 0.0}
    await store.policy.add("learning.C2", "yes", "U2")
    await store.policy.add("learning.C2", "no", "U2")
    assert await learned() == {"grace": 0.0, "nobody": 0.5}
    await store.policy.add("learning", "no", "U2")
    assert await learned() == {}
    await store.policy.add("learning.C2", "yes", "U2")
    assert await learned() == {"there": 0.0}
    await store.policy.add("learning", None, "U2")
    await store.save_person(Person("U1", "Ada"))
    assert await learned() == {"ada": 0.0, "grace": 0.5, "nobody": 0.5, "there": 0.0}
