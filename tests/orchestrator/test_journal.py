"""What is asked and done once, whatever happens between: the journal of a task's attempts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from agents.tools.base import ArgumentsRefused, EndUnseen, PersonNeeded, ToolFailed
from agents.turns import ModelEvent, TextDelta, ToolCall, ToolCallsRequested, Turn
from database.goals import Goal, Task
from goals.ports import JournalEntry
from orchestrator.journal import Journal, JournalledModels
from tests.orchestrator.fakes import ScriptedModels

GOAL = Goal("g", "U1", "do it", "r")
TASK = Task("s1", 1, "Send", "Send it.", "writer", attempt=1)


class Rows:
    """Kept in memory, in the order in which they were first noted."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, str], JournalEntry] = {}

    async def journal(self, goal_id: str, key: str) -> Sequence[JournalEntry]:
        return list(self.kept.values())

    async def note(self, goal_id: str, key: str, entry: JournalEntry) -> None:
        self.kept[entry.attempt, entry.position] = entry

    def of(self, attempt: int, *answers: str, **more: Any) -> Journal:
        """The journal as a process finds it that begins, or goes on with, this attempt."""
        task = replace(TASK, attempt=attempt, answers=answers)
        return Journal(self, GOAL, task, list(self.kept.values()), **({"by": "writer@1"} | more))


class Died(Exception):
    """The process, in the middle."""


@dataclass
class World:
    """What a tool has changed; it may die after that, or fail before."""

    done: list[str] = field(default_factory=list)
    dies: bool = False
    error: Exception | None = None

    async def change(self) -> str:
        if self.error:
            raise self.error
        self.done.append("sent")
        if self.dies:
            raise Died
        return "It is sent."

    async def by(
        self,
        journal: Journal,
        arguments: Mapping[str, Any] | None = None,
        effect: Literal["read", "write"] = "write",
    ) -> str:
        return await journal.result("send", effect, arguments or {"to": "Ada"}, self.change)


async def test_what_was_done_before_a_crash_is_not_done_again() -> None:
    rows, world = Rows(), World()
    assert await world.by(rows.of(1)) == "It is sent."
    assert await world.by(rows.of(1)) == "It is sent."
    assert await world.by(rows.of(2)) == "It is sent.", "nor by a later attempt"
    assert world.done == ["sent"]
    await world.by(rows.of(2), {"to": "Grace"})
    assert world.done == ["sent", "sent"], "another call is another change"


async def test_what_is_only_read_is_read_anew_by_a_later_attempt() -> None:
    rows, world = Rows(), World()
    await world.by(rows.of(1), effect="read")
    await world.by(rows.of(1), effect="read")
    assert world.done == ["sent"]
    await world.by(rows.of(2), effect="read")
    assert world.done == ["sent", "sent"]


async def test_what_is_read_twice_in_an_attempt_is_read_twice() -> None:
    """It may have changed; after a crash, and when the model was away, both are as they were."""
    rows = Rows()
    journal = rows.of(1)
    seen = iter(("not yet", "it is done", "done for long"))

    async def look() -> str:
        return next(seen)

    async def twice(again: Journal) -> list[str]:
        return [await again.result("look", "read", {"at": "it"}, look) for _ in range(2)]

    assert await twice(journal) == ["not yet", "it is done"]
    journal.begin()
    assert await twice(journal) == ["not yet", "it is done"]
    assert await twice(rows.of(1)) == ["not yet", "it is done"]


async def test_a_change_whose_end_nobody_saw_is_asked_about() -> None:
    rows, world = Rows(), World(dies=True)
    with pytest.raises(Died):
        await world.by(rows.of(1))
    again, world.dies = rows.of(1), False
    with pytest.raises(PersonNeeded, match=r"send with .*Ada.*cannot see whether it was done"):
        await world.by(again)
    assert again.uncertain
    assert await world.by(rows.of(2, "Yes, I got it")) == "It was done; a person has said so."
    assert await world.by(rows.of(2, "Yes, I got it")) == "It was done; a person has said so."
    assert world.done == ["sent"]


async def test_a_change_that_was_too_slow_is_asked_about_before_it_is_tried_again() -> None:
    rows, slow = Rows(), World(error=EndUnseen("send gave no answer within 30 seconds"))
    with pytest.raises(EndUnseen):
        await slow.by(rows.of(1))
    world = World()
    with pytest.raises(PersonNeeded, match="cannot see whether it was done"):
        await world.by(rows.of(2))
    assert world.done == []
    assert await world.by(rows.of(3, "no")) == "It is sent."
    with pytest.raises(EndUnseen):
        await slow.by(rows.of(1), {"to": "Grace"}, effect="read")
    assert await world.by(rows.of(2), {"to": "Grace"}, effect="read") == "It is sent."


async def test_a_change_that_was_not_done_is_done_then_and_once() -> None:
    rows, world = Rows(), World(dies=True)
    with pytest.raises(Died):
        await world.by(rows.of(1))
    world.dies = False
    with pytest.raises(PersonNeeded):
        await world.by(rows.of(1))
    with pytest.raises(PersonNeeded):
        await world.by(rows.of(2, "what do you mean?"))
    assert world.done == ["sent"]
    assert await world.by(rows.of(3, "what do you mean?", "no")) == "It is sent."
    assert await world.by(rows.of(3, "what do you mean?", "no")) == "It is sent."
    assert world.done == ["sent", "sent"]


async def test_what_may_be_done_twice_is_not_asked_about() -> None:
    rows, world = Rows(), World(dies=True)
    with pytest.raises(Died):
        await world.by(rows.of(1))
    world.dies = False
    assert await world.by(rows.of(1, repeatable={"send"})) == "It is sent."


@pytest.mark.parametrize("error", [ToolFailed("the door is shut"), ArgumentsRefused("no such to")])
async def test_a_failure_is_the_same_after_a_crash_and_tried_anew_later(error: Exception) -> None:
    rows, world = Rows(), World(error=error)
    for _ in range(2):
        with pytest.raises(type(error), match=str(error)):
            await world.by(rows.of(1))
        world.error = None
    assert world.done == []
    assert await world.by(rows.of(2)) == "It is sent."


async def test_a_question_finds_its_answer_where_it_was_asked() -> None:
    rows = Rows()

    async def asks() -> str:
        raise PersonNeeded("Which list?")

    async def asked(journal: Journal) -> str:
        return await journal.result("ask_person", "read", {"question": "Which list?"}, asks)

    for attempt in (1, 1):
        with pytest.raises(PersonNeeded, match=r"Which list\?"):
            await asked(rows.of(attempt))
    goes_on = rows.of(2, "The long one")
    assert goes_on.goes_on
    assert await asked(goes_on) == "The person answered: The long one"
    assert await asked(rows.of(2, "The long one")) == "The person answered: The long one"
    assert not rows.of(2, "The long one", by="somebody-else@1").goes_on


async def said(journal: Journal, script: ScriptedModels) -> list[ModelEvent]:
    models = JournalledModels(script, journal)
    found = [event async for event in models.stream([Turn("user", "one")])]
    return found + [event async for event in models.stream([Turn("user", "two")])]


async def test_a_model_is_asked_once_for_each_place_in_an_attempt() -> None:
    rows = Rows()
    call = ToolCallsRequested((ToolCall("c1", "send", {"to": "Ada"}),))
    script = ScriptedModels(lambda turns, _: call if turns[-1].text == "one" else "It is done.")
    first = await said(rows.of(1), script)
    again = rows.of(1)
    second = await said(again, script)
    assert len(script.asked) == 2
    assert [event for event in second if not isinstance(event, TextDelta)] == [
        event for event in first if not isinstance(event, TextDelta)
    ]
    assert "".join(e.text for e in second if isinstance(e, TextDelta)) == "It is done."
    assert (again.spent.tokens, again.spent.usd) == (30, 0.002), "paid for once, and counted"
    later = rows.of(2)
    await said(later, script)
    assert len(script.asked) == 4, "another attempt is free to answer otherwise"


async def test_what_was_paid_before_a_question_is_not_paid_again() -> None:
    rows = Rows()
    script = ScriptedModels(lambda _, __: "Let me ask.")
    waits = rows.of(1)
    await said(waits, script)
    assert waits.decided("send", {"to": "Ada"}) is None
    await waits.waits()
    goes_on = rows.of(2, "yes, do it")
    await said(goes_on, script)
    assert len(script.asked) == 2
    assert (goes_on.spent.tokens, goes_on.inherited_calls) == (0, 2)
    allowed = goes_on.decided("send", {"to": "Ada"})
    assert allowed is not None
    assert goes_on.agreed(allowed)
    assert goes_on.decided("send", {"to": "Grace"}) is None, "a yes is for what was asked"
    fresh = rows.of(3, "yes, do it")
    assert fresh.goes_on


@pytest.mark.parametrize(
    "words", ["No, it was done already", "no need, it is there", "ok, it was not", "do it", "don't"]
)
async def test_what_is_no_plain_answer_is_asked_again(words: str) -> None:
    rows, world = Rows(), World(dies=True)
    with pytest.raises(Died):
        await world.by(rows.of(1))
    world.dies = False
    with pytest.raises(PersonNeeded):
        await world.by(rows.of(1))
    with pytest.raises(PersonNeeded, match="Was it"):
        await world.by(rows.of(2, words))
    assert world.done == ["sent"]


@pytest.mark.parametrize("words", ["Yes, but only to Anna", "okay no, don't", "ok wait"])
def test_a_yes_with_more_is_no_consent(words: str) -> None:
    assert not Rows().of(1).agreed(words)
