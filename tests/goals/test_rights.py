"""What a goal may read: as much as its person may by now, and never more than when they asked."""

import pytest

from database.records import PUBLIC, Reader, one_person, private_channel
from goals.ledger import Ledger
from goals.ports import TaskOutcome
from tests.goals.managed import ADA, GOAL, Here
from tests.goals.standins import Asked

DIRECT = one_person(ADA)
ONE, TWO, OTHER = map(private_channel, ("C1", "C2", "C3"))


@pytest.fixture
async def here(ledger: Ledger) -> Here:
    """A goal in a direct message, by somebody who was in two private channels."""
    made = Here(ledger, wide=1)
    reader = Reader(ADA, frozenset({"C1", "C2"}))
    await made.manager.begin(Asked("r1", ADA, reader=reader, audience=DIRECT))
    return made


async def reads(here: Here, *channels: str, public: bool = True) -> None:
    """So much from now on."""

    async def rights(_: object) -> Reader:
        return Reader(ADA, frozenset(channels), public)

    here.manager.ask_for_rights(rights)


async def test_a_step_reads_what_its_person_may_read_when_it_begins(here: Here) -> None:
    here.hands.ends["s0_0"] = TaskOutcome(failure="not yet", retry=True)
    await reads(here, "C2", "C3")
    await here.manager.work(GOAL, *here.queue.queued.pop())
    assert here.hands.read == [{PUBLIC, DIRECT, TWO}], "never more than when they asked"
    await reads(here, "C1", "C2", public=False)
    await here.work()
    assert here.hands.read[1] == {DIRECT, ONE, TWO}, "what came back is there again"


async def test_what_waited_for_a_person_goes_on_with_the_rights_of_then(here: Here) -> None:
    here.hands.ends["s0_0"] = TaskOutcome(question="Which one?")
    await here.work()
    await reads(here)
    await here.manager.answer(GOAL, "the second", ADA)
    assert (await here.goal()).reader == Reader(ADA), "for whoever works on it, also elsewhere"


async def test_workers_elsewhere_learn_of_rights_that_are_gone(here: Here, ledger: Ledger) -> None:
    elsewhere = Here(ledger)
    await reads(here, "C1")
    await here.manager.look_at_rights()
    moved = await here.goal()
    await here.manager.look_at_rights()
    assert (await here.goal()).revision == moved.revision, "only what has changed is moved"
    await elsewhere.manager.work(GOAL, *here.queue.queued.pop())
    assert elsewhere.hands.read == [{PUBLIC, DIRECT, ONE}]
