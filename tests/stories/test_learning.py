"""The whole loop: wrong answers, what people say of them, a trial, a click, and the proof.

People's words on many answers are given as the buttons give them, without pressing each.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

import pytest

from agents.improvement.prompt_optimizer import LEAST_QUESTIONS
from database.learning import Proposal, ProposalState
from database.records import Feedback, Run
from orchestrator.trials.exam import part_of
from slack_interface.slack_bot import Mode
from tests.model_server.server import answer
from tests.people import ADA, ALAN, GRACE, Json, eventually, find
from tests.stories.story import Story, asked, seen

pytestmark = pytest.mark.timeout(240)

LABELS = {"billing": "The invoice {} is wrong.", "delivery": "Parcel {} never came.",
          "garden": "Hedge {} needs a cut."}  # fmt: skip
CHANNEL = "C0GENERAL"
LEARNED = "Right answers given before"
"""What the prompt optimizer writes into instructions before the examples that it gathered."""

_numbers = count(1)


@pytest.fixture
def transport() -> Mode:
    """One of them: what is told here happens behind both."""
    return "socket"


@pytest.fixture
async def story(quiet_story: Story) -> Story:
    """A workspace with a channel for improvements and one approver."""
    quiet_story.settings = quiet_story.settings.model_copy(
        update={"virtuous6_improvements_channel": CHANNEL, "virtuous6_approvers": ADA}
    )
    await quiet_story.start()
    return quiet_story


def question(label: str) -> str:
    """A request whose right answer is known, and stands in it."""
    said = LABELS[label].format(next(_numbers))
    return f'Which team should handle this message: billing, delivery or garden? "{said}"'


def questions(number: int, part: str = "") -> list[str]:
    """So many, of a part of the exam or of any."""
    found: list[str] = []
    for label in _in_turn():
        text = question(label)
        if not part or part_of(text) == part:
            found.append(text)
        if len(found) == number:
            break
    return found


def _in_turn() -> Sequence[str]:
    return [list(LABELS)[n % 3] for n in range(10_000)]


def right(text: str) -> str:
    """The right answer to a question."""
    return next(label for label, said in LABELS.items() if said.partition(" {}")[0] in text)


def answers(*, when: str = "", turned: bool = False) -> list[Json]:
    """The model knows the labels where `when` stands in its instructions; `turned`: only there not.

    Each takes the same time, so that no answer is slower by chance.
    """
    knows = [
        answer(label, when=asked(said.partition(" {}")[0], systemMessage=when), latency=30)
        for label, said in LABELS.items()
    ]
    if turned:
        spoiled = answer("garden", when={"systemMessage": when}, latency=30)
        everywhere = [
            answer(label, when=asked(said.partition(" {}")[0]), latency=30)
            for label, said in LABELS.items()
        ]
        return [spoiled, *everywhere]
    return [*knows, answer("garden", when={}, latency=30)]


async def ask(story: Story, texts: Sequence[str]) -> list[Run]:
    """People ask all that in a public channel; what was answered, once all is recorded."""
    before = {run.run_id for run in await story.runs()}
    for number, text in enumerate(texts):
        who = (ADA, GRACE, ALAN)[number % 3]
        await story.say(f"@Virtuous6 {text}", who, "general")

    async def answered() -> list[Run] | None:
        new = [run for run in await story.runs() if run.run_id not in before]
        return new if len(new) == len(texts) else None

    found: list[Run] = await eventually(answered, "all is answered", timeout=60)
    await story.house.learning.shadows.done()
    return found


async def say_what_is_right(story: Story, runs: Sequence[Run]) -> None:
    """People judge every answer, and say the right one where it was wrong."""
    for run in runs:
        label = right(run.request)
        good = run.reply == label
        await story.house.orchestrator.give_feedback(
            Feedback(
                f"said-{run.run_id}", run.run_id, "rating" if good else "reason",
                1.0 if good else -1.0, text=None if good else f"The right answer is {label}.",
                user_id=run.user_id, created_at=run.started_at or 0.0,
            )
        )  # fmt: skip
    await story.house.bus.drain()


async def moved(
    story: Story, proposal: Proposal, state: ProposalState, look: bool = True
) -> Proposal:
    """The proposal, once it is in a state; the clock's look is not waited for."""
    improvement = story.house.learning.improvement

    async def there() -> Proposal | None:
        if look:
            await improvement.advance()
        now = await improvement.proposal(proposal.proposal_id)
        return now if now is not None and now.state == state else None

    found: Proposal = await eventually(there, f"the proposal is {state}", timeout=60)
    return found


async def proposed(story: Story) -> Proposal:
    """The prompt optimizer's proposal, once it has looked."""

    async def made() -> Sequence[Proposal]:
        await story.house.learning.improvement.cycle("prompt-optimizer")
        return await story.house.learning.improvement.proposals()

    [found] = await eventually(made, "a proposal", timeout=60)
    assert isinstance(found, Proposal)
    return found


async def card(story: Story, holds: Callable[[Json], bool], what: str) -> Json:
    """A message in the improvements channel."""

    async def there() -> Json | None:
        messages = (await story.get(f"messages/{CHANNEL}"))["messages"]
        return next((m for m in messages if holds(m)), None)

    found: Json = await eventually(there, what, timeout=60)
    return found


def button(message: Json, words: str) -> Json:
    [found] = [b for b in find(message["blocks"], "button") if b["text"]["text"] == words]
    return {"type": "button", "action_id": found["action_id"], "value": found["value"]}


def has_button(words: str) -> Callable[[Json], bool]:
    return lambda m: any(b["text"]["text"] == words for b in find(m.get("blocks") or [], "button"))


async def approved(story: Story, proposal: Proposal) -> Json:
    """Ada presses Approve on the card; nobody else can."""
    waiting = await card(story, has_button("Approve"), "a card that waits")
    await story.press(waiting, button(waiting, "Approve"), CHANNEL, GRACE)
    await story.idle()
    still = await story.house.learning.improvement.proposal(proposal.proposal_id)
    assert still is not None
    assert still.state == "awaiting", "only an approver decides"
    await story.press(waiting, button(waiting, "Approve"), CHANNEL, ADA)
    await moved(story, proposal, "live", look=False)
    return waiting


async def live(story: Story) -> tuple[Proposal, Json]:
    """From wrong answers to a change that is live, with its card."""
    await story.told(*answers(when=LEARNED))
    texts = [*questions(LEAST_QUESTIONS + 2, "learn"), *questions(4, "held_out")]
    wrong = await ask(story, texts)
    assert {run.agent for run in wrong} == {"triage"}
    assert {run.reply for run in wrong} == {"garden"}
    await say_what_is_right(story, wrong)

    made = await proposed(story)
    assert made.learner == "prompt-optimizer"
    assert LEARNED in json.dumps(made.changes[0].body)
    await moved(story, made, "trial")
    await story.house.learning.serve_what_is_decided()
    await say_what_is_right(story, await ask(story, questions(30)))
    await moved(story, made, "awaiting")
    return made, await approved(story, made)


async def thread_says(story: Story, shown: Json, words: str) -> None:
    """Something is said in the thread of a card."""

    async def there() -> bool:
        return any(words in seen(m) for m in await story.thread(shown["ts"], CHANNEL))

    look: Callable[[], Awaitable[bool]] = there
    await eventually(look, f"the thread says {words!r}", timeout=60)


async def test_wrong_answers_become_right_ones_after_a_click(story: Story) -> None:
    made, shown = await live(story)
    assert made.audience == "public"

    await story.house.learning.serve_what_is_decided()
    after = await ask(story, questions(60))

    # a few are always answered by what was there before: no variant is ever quite given up
    learned = [run for run in after if run.agent_version == made.changes[0].version]
    assert len(learned) > 0.7 * len(after)
    assert all(run.reply == right(run.request) for run in learned)
    await say_what_is_right(story, after)
    verified = await moved(story, made, "verified")
    assert "right before" in verified.reason
    await thread_says(story, shown, "helped")
    assert (await story.house.store.audit_verify()).whole


async def test_what_turns_out_to_be_harmful_is_taken_back_and_said_in_the_thread(
    story: Story,
) -> None:
    made, shown = await live(story)
    before = made.changes[0].base

    # the world changes: what was learned is wrong from now on
    await story.told(*answers(when=LEARNED, turned=True))
    await story.house.learning.serve_what_is_decided()
    await say_what_is_right(story, await ask(story, questions(60)))

    back = await moved(story, made, "rolled_back")
    assert back.decided_by is None
    document = await story.house.store.document("agent", made.changes[0].name)
    assert (document.version if document else None) == before
    await thread_says(story, shown, "took it back")
    [again] = await ask(story, questions(1))
    assert again.reply == right(again.request)
