"""What goals read is what their person may read by now: Slack is asked while they run."""

import pytest

from database.records import Reader
from slack_interface import places
from tests.people import ADA, BOT
from tests.slack_interface.goal_samples import ScriptedGoals
from tests.slack_interface.world import World

LEADERSHIP = "C0LEADERSHIP"


async def test_who_has_left_a_private_channel_reads_it_no_more(
    quiet_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "PRIVATE_CHANNELS_TTL_S", 0)
    goals = ScriptedGoals()
    quiet_world.goals = goals
    await quiet_world.start()
    assert goals.reader_of
    direct = f"D{ADA[1:]}"
    assert await goals.reader_of(ADA, direct) == Reader(ADA, frozenset({LEADERSHIP}))
    assert await goals.reader_of(ADA, "C0GENERAL") == Reader(ADA)
    members = quiet_world.workspace.runtime.workspace.channels[LEADERSHIP].members
    members.discard(ADA)
    assert BOT in members
    assert await goals.reader_of(ADA, direct) == Reader(ADA)
