"""The whole loop: wrong answers, what people say of them, a trial, a click, and the proof.

People's words on many answers are given as the buttons give them, without pressing each.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

import pytest

from agents.improvement.prompt_optimizer import LEAST_QUESTIONS, PromptOptimizer
from database.learning import Change, Proposal, ProposalState
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
    await quiet_story.start(learners=lambda models: {"prompt-optimizer": PromptOptimizer(models)})
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


def answers(*, when: str = "") -> list[Json]:
    """The model knows the labels where `when` stands in its instructions.

    Each answer takes the same time, so that none is slower by chance.
    """
    knows = [
        answer(label, when=asked(said.partition(" {}")[0], systemMessage=when), latency=15)
        for label, said in LABELS.items()
    ]
    return [*knows, answer("garden", when={}, latency=15)]


async def ask(story: Story, texts: Sequence[str]) -> list[Run]:
    """People ask all that in a public channel; what was answered, once all is recorded."""
    before = {run.run_id for run in await story.runs()}
    for number, text in enumerate(texts):
        who = (ADA, GRACE, ALAN)[number % 3]
        await story.say(f"@Virtuous6 {text}", who, "general")

    async def answered() -> list[Run] | None:
        new = [run for run in await story.runs() if run.run_id not in before]
        return new if len(new) == len(texts) else None

    found: list[Run] = await eventually(answered, "all is answered")
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


async def moved(story: Story, proposal: Proposal, state: ProposalState) -> Proposal:
    """The proposal, once it is in a state; the clock's look is not waited for."""
    improvement = story.house.learning.improvement

    async def there() -> Proposal | None:
        await improvement.advance()
        now = await improvement.proposal(proposal.proposal_id)
        return now if now is not None and now.state == state else None

    found: Proposal = await eventually(there, f"the proposal is {state}")
    return found


async def used_until(story: Story, proposal: Proposal, state: ProposalState) -> list[Run]:
    """People ask and judge until that moves the proposal there; what was answered on the way."""
    improvement = story.house.learning.improvement
    await story.house.learning.serve_what_is_decided()
    runs: list[Run] = []
    for _ in range(15):
        runs += (latest := await ask(story, questions(12)))
        await say_what_is_right(story, latest)
        await improvement.advance()
        now = await improvement.proposal(proposal.proposal_id)
        if now is not None and now.state == state:
            return runs
    raise AssertionError(f"{len(runs)} requests did not make it {state}")


async def proposed(story: Story) -> Proposal:
    """The prompt optimizer's proposal, once it has looked."""

    async def made() -> Sequence[Proposal]:
        await story.house.learning.improvement.cycle("prompt-optimizer")
        return await story.house.learning.improvement.proposals()

    [found] = await eventually(made, "a proposal")
    assert isinstance(found, Proposal)
    return found


async def card(story: Story, holds: Callable[[Json], bool], what: str) -> Json:
    """A message in the improvements channel."""

    async def there() -> Json | None:
        messages = (await story.get(f"messages/{CHANNEL}"))["messages"]
        return next((m for m in messages if holds(m)), None)

    found: Json = await eventually(there, what)
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
    await moved(story, proposal, "live")
    return waiting


async def said_now(story: Story) -> tuple[str | None, str | None]:
    """Which version answers a question about an invoice, and what it says."""
    [run] = await ask(story, [question("billing")])
    return run.agent_version, run.reply


async def thread_says(story: Story, shown: Json, words: str) -> None:
    """Something is said in the thread of a card."""

    async def there() -> bool:
        return any(words in seen(m) for m in await story.thread(shown["ts"], CHANNEL))

    look: Callable[[], Awaitable[bool]] = there
    await eventually(look, f"the thread says {words!r}")


async def test_wrong_answers_become_right_ones_after_a_click(story: Story) -> None:
    await story.told(*answers(when=LEARNED))
    wrong = await ask(story, questions(LEAST_QUESTIONS + 2, "learn"))
    assert {run.agent for run in wrong} == {"triage"}
    assert {run.reply for run in wrong} == {"garden"}
    await say_what_is_right(story, wrong)

    made = await proposed(story)
    assert (made.learner, made.audience) == ("prompt-optimizer", "public")
    assert LEARNED in json.dumps(made.changes[0].body)
    await moved(story, made, "trial")
    seen = await used_until(story, made, "awaiting")
    assert {run.reply for run in seen} == {"garden"}, "people see what is active"
    shown = await approved(story, made)

    after = await used_until(story, made, "verified")
    # a few are always answered by what was there before: no variant is ever quite given up
    learned = [run for run in after if run.agent_version == made.changes[0].version]
    assert len(learned) > 0.6 * len(after)
    assert all(run.reply == right(run.request) for run in learned)
    await thread_says(story, shown, "helped")
    assert (await story.house.store.audit_verify()).whole


async def test_what_turns_out_to_be_harmful_is_taken_back_and_said_in_the_thread(
    story: Story,
) -> None:
    triage = await story.house.store.document("agent", "triage")
    assert triage is not None
    spoiled = {**triage.body, "system_prompt": "Say garden, always."}
    sifted = await story.house.learning.improvement.submit(
        [
            Proposal(
                "", "team-review", "Let triage be short", "It is too long.",
                (Change("agent", "triage", triage.version, spoiled),
                 Change("runbook", "sorting", None, {"steps": ["sort"]})),
            )
        ]
    )  # fmt: skip
    [made] = sifted.taken
    await story.told(answer("garden", when={"systemMessage": "Say garden"}), *answers())
    assert await said_now(story) == (triage.version, "billing")
    await moved(story, made, "awaiting")
    shown = await approved(story, made)
    assert await said_now(story) == (made.changes[0].version, "garden")

    await story.house.learning.improvement.switch("off", ADA)
    assert await said_now(story) == (triage.version, "billing"), "off is as it was shipped"
    await story.house.learning.improvement.switch("on", ADA)
    await used_until(story, made, "rolled_back")

    back = await story.house.learning.improvement.proposal(made.proposal_id)
    assert back is not None
    assert back.decided_by is None
    document = await story.house.store.document("agent", "triage")
    assert document is not None
    assert document.version == triage.version
    assert await story.house.store.document("runbook", "sorting") is None
    await thread_says(story, shown, "took it back")
    assert await said_now(story) == (triage.version, "billing")
