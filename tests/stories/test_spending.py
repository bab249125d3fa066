"""What is spent: approvers hear of it before a limit stops anybody, and are asked at it."""

import time

import pytest

from bootstrap import watch_spending
from database.records import Run
from slack_interface.slack_bot import Mode
from tests.people import ADA, GRACE, Json
from tests.stories.story import Story, direct


@pytest.fixture
def transport() -> Mode:
    """One of them: what is told here happens behind both."""
    return "socket"


async def told(story: Story) -> list[Json]:
    await story.idle()
    messages: list[Json] = (await story.get(f"messages/{direct(GRACE)}"))["messages"]
    return messages


async def test_approvers_hear_of_a_days_budget_once_at_each_mark(story: Story) -> None:
    house = story.house
    await house.policy.set("approvers", GRACE, ADA)
    await house.policy.set("workspace_usd_per_day", "1", ADA)
    for number, heard in ((1, 1), (2, 2)):
        house.store.append(
            Run(f"r{number}", "x", "coder", user_id=ADA, started_at=time.time(), cost_usd=0.9)
        )
        for _ in range(2):
            await watch_spending(house)
        assert len(await told(story)) == heard
    nearly, wholly = await told(story)
    assert "used $0.90 of $1.00 a day (90%)" in nearly["text"]
    assert "policy set workspace_usd_per_day NUMBER" in wholly["text"]
    refused = await story.ask("Hello?")
    assert "This workspace has reached its limit of $1.00 a day" in refused["text"]
