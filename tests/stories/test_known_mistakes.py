"""A mistake that was made a few times is not made again, once somebody has approved the lesson."""

from collections.abc import Sequence

import pytest

from agents.improvement.error_recovery import in_control, prevented
from agents.tools.calling import NOT_CALLED
from database.learning import Proposal
from database.records import Run, Step
from slack_interface.slack_bot import Mode
from tests.model_server.server import answer, tool_call
from tests.people import ADA, ALAN, GRACE, eventually
from tests.stories.story import Story, asked

LEARNER = "error-recovery"
LUNCH = "Give me an idea for team lunch"


@pytest.fixture
def transport() -> Mode:
    """One of them: what is told here happens behind both."""
    return "socket"


async def ask(story: Story, numbers: Sequence[int]) -> list[Run]:
    """People ask in a public channel."""
    before = {run.run_id for run in await story.runs()}
    for number in numbers:
        who = (ADA, GRACE, ALAN)[number % 3]
        await story.say(f"@Virtuous6 {LUNCH} {number}", who, "general")

    async def answered() -> list[Run] | None:
        new = [run for run in await story.runs() if run.run_id not in before]
        return new if len(new) == len(numbers) else None

    found: list[Run] = await eventually(answered, "all is answered")
    return found


def tool_steps(run: Run) -> list[Step]:
    return [step for step in run.steps if step.kind == "tool"]


async def the_lesson(story: Story) -> Proposal:
    improvement = story.house.learning.improvement
    await improvement.cycle(LEARNER)
    await improvement.advance()
    [found] = await improvement.proposals()
    return found


async def test_a_known_mistake_is_not_made_again(story: Story) -> None:
    await story.told(
        answer("Pizza for 42 dollars.", when=asked(LUNCH, turnIndex=2)),
        tool_call("calculator", {"expression": "6 * 7"}, when=asked(LUNCH, turnIndex=1)),
        tool_call("calculator", {"expression": "six times seven"}, when=asked(LUNCH)),
    )
    for run in await ask(story, range(4)):
        assert [step.ok for step in tool_steps(run)] == [False, True]

    lesson = await the_lesson(story)
    assert lesson.learner == LEARNER
    assert lesson.state == "awaiting", lesson.reason
    assert lesson.changes[0].kind == "lesson"
    await story.house.learning.improvement.decide(lesson.proposal_id, ADA, True)

    after = await ask(story, range(10, 16))
    for run in after:
        first, second = tool_steps(run)
        assert (first.error or "").startswith(NOT_CALLED) is not in_control(run.run_id)
        assert second.ok
        assert run.reply == "Pizza for 42 dollars."

    await story.house.learning.improvement.cycle(LEARNER)
    state = (await story.house.store.learner_state(LEARNER)).state
    told = [run for run in after if not in_control(run.run_id)]
    assert prevented(state).calls == len(told)

    # and its use is watched: those who were told beside those who were not
    async def counted() -> bool:
        await story.house.learning.improvement.watch()
        check = await story.house.learning.improvement.verification_of(lesson.proposal_id)
        seen = check.figures if check else {}
        known = (seen.get("uses"), seen.get("without"))
        return known == (len(told), len(after) - len(told))

    await eventually(counted, "each run is counted")
