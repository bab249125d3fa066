from collections.abc import Awaitable, Callable

import pytest

from agents.tools.base import PersonNeeded, ToolFailed
from agents.tools.tape import Tape


def returns(result: str | Exception, calls: list[str]) -> Callable[[], Awaitable[str]]:
    async def call() -> str:
        calls.append(str(result))
        if isinstance(result, Exception):
            raise result
        return result

    return call


async def test_the_same_call_gets_the_same_result_without_being_made() -> None:
    calls: list[str] = []
    tape = Tape()
    assert await tape.result("note", "write", {"b": 1, "a": 2}, returns("1st", calls)) == "1st"
    replay = tape.replay()
    assert await replay.result("note", "write", {"a": 2, "b": 1}, returns("2nd", calls)) == "1st"
    assert calls == ["1st"]
    assert replay.missed == []


@pytest.mark.parametrize("end", [ToolFailed("No such page."), PersonNeeded("Which one?")])
async def test_a_failure_and_a_question_are_the_same_again(end: Exception) -> None:
    tape = Tape()
    with pytest.raises(type(end)):
        await tape.result("look", "read", {}, returns(end, []))
    with pytest.raises(type(end)) as again:
        await tape.replay().result("look", "read", {}, returns("now", []))
    assert again.value is end


async def test_what_is_new_is_read_but_not_changed() -> None:
    calls: list[str] = []
    replay = Tape().replay()
    assert await replay.result("look", "read", {}, returns("read", calls)) == "read"
    with pytest.raises(ToolFailed, match="not done"):
        await replay.result("note", "write", {}, returns("wrote", calls))
    assert (calls, replay.missed) == (["read"], ["note"])


async def test_a_replay_leaves_the_recording_as_it_was() -> None:
    tape = Tape()
    await tape.replay().result("look", "read", {}, returns("once", []))
    assert await tape.replay().result("look", "read", {}, returns("anew", [])) == "anew"
