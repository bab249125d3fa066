"""Messages in, answers out."""

from tests.slack_interface.world import GRACE, World, find, saying


async def test_a_direct_message_is_answered_in_its_thread_with_two_calls(world: World) -> None:
    before = await world.calls()
    ts = await world.say("What is tea?")
    [reply] = await world.replies(ts)
    assert reply["text"] == "You said: What is tea?"
    assert reply["metadata"]["event_payload"]["run_id"] == world.orchestrator.requests[0].run_id
    [buttons] = find(reply["blocks"], "feedback_buttons")
    assert buttons["positive_button"]["value"] == f"up:{world.orchestrator.requests[0].run_id}"
    assert (await world.calls())[len(before) :] == [
        "auth.test",
        "chat.startStream",
        "chat.stopStream",
    ]
    assert (await world.store.run_of_message("D0ADA", reply["ts"])) is not None
    assert world.rows.waiting_rows == {}
