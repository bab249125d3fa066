"""An answer calls nobody."""

import pytest

from slack_interface.mentions import CALLS, MentionGuard
from tests.slack_interface.world import World, saying


def shown(*pieces: str) -> str:
    guard = MentionGuard()
    return "".join([*(guard.passes(piece) for piece in pieces), guard.rest()])


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_caught_however_it_is_cut(call: str) -> None:
    whole = f"a < b {call}> and {call}|label>"
    for cut in range(len(whole)):
        said = shown(whole[:cut], whole[cut:])
        assert call not in said
        assert said.replace("\u2060", "") == whole
    assert call not in shown(*whole)


@pytest.mark.parametrize("text", ["<!DOCTYPE html>", "a <", "<!-- x -->", "<@U0ADA>", "x<y", "<!"])
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert shown(*text) == text
    assert shown(text) == text


async def test_an_answer_in_a_channel_calls_nobody(world: World) -> None:
    world.orchestrator.script = saying("Hey <!chan", "nel>, or <", "!here> even <")
    ts = await world.say("@Virtuous6 call them", channel="general")
    [reply] = await world.replies(ts, "C0GENERAL")
    assert reply["text"] == "Hey <\u2060!channel>, or <\u2060!here> even <"
