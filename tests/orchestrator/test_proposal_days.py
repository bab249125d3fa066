"""What is beyond the day's limit is not lost: it waits, unseen, for a day with room."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.improvement.learner import Learned
from database.learning import Proposal
from orchestrator.proposal_days import AHEAD, Days
from tests.orchestrator.pipeline import ADA, CODER, WRITER, Pipeline, changed, proposal

DAY = 86_400.0
BETTER = changed(CODER, system_prompt="You are coder. Answer with code only.")
KINDER = changed(WRITER, system_prompt="You are writer. Be kind.")


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    made = await Pipeline(tmp_path).open()
    await made.policy.set("proposals_per_day", "1", ADA)
    yield made
    await made.close()


async def passed(pipeline: Pipeline) -> list[str]:
    """Time for everything that moves; the documents that people were told of."""
    await pipeline.improvement.announce()
    await pipeline.improvement.advance()
    await pipeline.bus.drain()
    return sorted({p.changes[0].name for p in pipeline.told})


async def test_what_is_too_much_today_is_tried_tomorrow(pipeline: Pipeline) -> None:
    hopeful = proposal(BETTER, expected={"effect": 0.3})
    pipeline.learner.says = Learned((), (proposal(KINDER), hopeful))
    report = await pipeline.improvement.cycle(pipeline.learner.name)
    assert [p.changes for p in report.proposals] == [(BETTER,)]
    assert "it waits until 2027-01-16" in report.held[0].reason
    pipeline.learner.says = Learned()
    assert await passed(pipeline) == ["coder"]
    again = await pipeline.again()
    assert await passed(again) == ["coder"], "nor is it told or tried by another process"
    assert [p.changes for p in await again.improvement.proposals()] == [(BETTER,)]
    await again.close()

    pipeline.clock.now += DAY
    assert await passed(pipeline) == ["coder", "writer"]
    states = {p.changes[0].name: p.state for p in await pipeline.improvement.proposals()}
    assert states == {"coder": "trial", "writer": "trial"}
    warmer = changed(WRITER, temperature=0.7)
    held = (await pipeline.improvement.submit([proposal(warmer)])).held
    assert "it waits until 2027-01-17" in held[0].reason, "today's room is taken by what waited"


async def test_what_waits_is_not_proposed_twice(pipeline: Pipeline) -> None:
    first = await pipeline.improvement.submit([proposal(BETTER), proposal(KINDER)])
    assert (len(first.taken), len(first.later)) == (1, 1)
    again = await pipeline.improvement.submit([proposal(KINDER)])
    assert not again.later
    assert "The same was proposed before" in again.held[0].reason


def made_at(day: float) -> Proposal:
    return proposal(BETTER, created_at=day * DAY)


def test_days_fill_up_one_after_the_other() -> None:
    days = Days(2, [made_at(10.2), made_at(11), made_at(3)], 10.5 * DAY)
    found = [days.next() for _ in range(2 * AHEAD)]
    assert found[:4] == [10.5 * DAY, 11 * DAY, 12 * DAY, 12 * DAY]
    assert found[-2:] == [None, None]
    unlimited = Days(None, [], 10.5 * DAY)
    assert [unlimited.next() for _ in range(50)] == [10.5 * DAY] * 50
