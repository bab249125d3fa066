"""Plans in their threads: one message for each, rewritten as it goes on; questions; the answer.

All of it is named by what it shows, so an event, a look after a restart and another process may
ask for the same: a plan's message by its revision, a question by the step and how often it was
answered. Versions that nobody saw are left out: at most one rewriting of all plans in `pause_s`,
people in turn, so that who has many plans holds up only their own.
"""

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from cachetools import LRUCache

from database.errors import VirtuousError
from database.goals import ANSWER, Goal, Task, goal_id_of
from orchestrator.goal_replies import answer_run_id, reply_of
from slack_interface.answer_cards import feedback_buttons
from slack_interface.answering import NOT_SHOWN, Answering
from slack_interface.delivery import Destination
from slack_interface.goal_cards import (
    PlanCard,
    answered_card,
    notice_card,
    plan_card,
    planning_card,
    question_card,
)
from slack_interface.goal_figures import account, failed_text, plan_text
from slack_interface.incoming import Incoming, channel_type_of
from slack_interface.outgoing import Kept, Outgoing, Post
from slack_interface.pace import UPDATE_S
from slack_interface.ports import GoalsPort, Record

log = structlog.get_logger()

_CARD, _ASK = "goal:", "goal-ask:"
_ENDED, _ASKED, _WITHOUT = ":end", ":asked", "without"
MOST_TRIES = 5
"""A plan that cannot be shown is left until the next minute or move after so many attempts."""


@dataclass(slots=True)
class GoalShowing:
    """Shows goals; what becomes of them, others decide. `accept` keeps an answer to be said."""

    port: GoalsPort
    outgoing: Outgoing
    answering: Answering
    record: Record
    accept: Callable[[Incoming], Awaitable[bool]]
    team_id: str
    pause_s: float = UPDATE_S
    clock: Callable[[], float] = time.time
    _dirty: dict[str, Goal] = field(default_factory=dict)
    _unrecorded: dict[str, Goal] = field(default_factory=dict)
    _asking: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _forms: LRUCache[str, object] = field(default_factory=lambda: LRUCache(10_000))
    _recorded: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(10_000))
    _said: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(10_000))
    _turns: LRUCache[str, float] = field(default_factory=lambda: LRUCache(10_000))
    _tries: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _work: asyncio.Task[None] | None = None

    async def moved(self, goal: Goal) -> None:
        """Something moved: show it soon as it is by then."""
        if not goal.channel_id:
            return
        known = self._dirty.get(goal.goal_id)
        if known is None or goal.revision >= known.revision:
            self._dirty[goal.goal_id] = goal
        self._tries.pop(goal.goal_id, None)
        self._go_on()
        await self._let_answer(goal)

    async def planning(self, goal_id: str, item: Incoming) -> None:
        """A plan is being made."""
        where = item.channel_id, item.thread_ts
        await self._put(_CARD + goal_id, "planning", where, planning_card(), minor=True)

    async def no_plan(
        self,
        goal_id: str,
        item: Incoming,
        words: str,
        *,
        again: bool = False,
        version: str = "none",
    ) -> None:
        """None came about, and why, in mrkdwn; with `again` a button to try it once more."""
        where = item.channel_id, item.thread_ts
        card = notice_card(words, f"{goal_id}:{item.ts or _pressed_on(item)}" if again else "")
        await self._put(_CARD + goal_id, f"{version}{_ENDED}", where, card, minor=False)

    async def goes_without(self, goal_id: str, item: Incoming, words: str) -> None:
        """None came about, and why: the request is answered without one."""
        await self.no_plan(goal_id, item, words, version=_WITHOUT)

    async def went_without(self, goal_id: str) -> bool:
        """Whether a former process had come to that."""
        kept = await self.outgoing.kept_post(_CARD + goal_id)
        return kept is not None and kept.shown.endswith(f":{_WITHOUT}{_ENDED}")

    async def look(self) -> None:
        """After a start: show what a crash left, and what moved meanwhile."""
        for kept in await self.outgoing.kept():
            if kept.post_id.startswith(_ASK) and kept.shown.endswith(_ASKED):
                self._asking[kept.post_id.split(":")[1]].add(kept.post_id)
            elif kept.post_id.startswith(_CARD) and not kept.shown.endswith(_ENDED):
                await self._look_at(kept.post_id.removeprefix(_CARD), kept)

    async def plans_in(self, channel_id: str, thread_ts: str) -> list[str]:
        """The ids of the plans in a thread, as far as the record tells: where plans are kept is not
        asked.
        """
        said = await self.record.thread(channel_id, thread_ts, 500)
        ids = {goal_id_of(message.run_id) for message in said if message.run_id}
        return [each for each in ids if await self.outgoing.kept_post(_CARD + each)]

    def asks(self, goal_id: str) -> bool:
        """Whether a question of it stands in its thread."""
        return goal_id in self._asking

    async def look_again(self) -> None:
        """Each minute: try again what could not be shown."""
        for goal_id in [*self._tries]:
            await self._look_at(goal_id)

    async def say_answer(self, item: Incoming) -> None:
        """The last thing of a goal: its answer in the thread, with how it came about."""
        goal = await self.port.goal(item.subject)
        if goal is None:
            return
        answer = goal.task(ANSWER).result if goal.state == "done" else None
        said = answer or failed_text(goal)
        finished = reply_of(goal, "answer", said)
        to = Destination(
            goal.channel_id, goal.thread_ts, self.team_id, goal.user_id,
            direct=item.direct, asked_ts=goal.message_ts,
            asked=f"{goal.request} <@{goal.user_id}>",
        )  # fmt: skip
        text = f"{said}\n\n{account(goal, self.clock())}"
        below = feedback_buttons(finished.run.run_id)
        if await self.answering.show(finished, text, to, below) is None:
            await self._tell_not_shown(goal)

    async def idle(self) -> None:
        """Return when all is shown (tests)."""
        while self._work:
            await asyncio.wait([self._work])

    async def close(self) -> None:
        """Show nothing more."""
        if self._work:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _look_at(self, goal_id: str, kept: Kept | None = None) -> None:
        """Show it where that is needed; `kept` is its card, where nothing else is known to be."""
        try:
            goal = await self.port.goal(goal_id)
            done = goal is None or (kept and await self._is_up_to_date(goal, kept))
        except VirtuousError as error:
            log.warning("goal_not_read", goal=goal_id, error=str(error))
            self._tries[goal_id] = MOST_TRIES
            return
        if goal is not None and not done:
            await self.moved(goal)
        else:
            self._tries.pop(goal_id, None)

    async def _is_up_to_date(self, goal: Goal, kept: Kept) -> bool:
        """Whether all of it can be seen and is recorded: a thousand that wait cost a look each."""
        if goal.ended or _revision(kept) != goal.revision:
            return False
        self._recorded[goal.goal_id] = await self.record.run(goal.run_id) is not None
        return self._recorded[goal.goal_id]

    # One after the other

    def _go_on(self) -> None:
        if self._work is None:
            self._work = asyncio.create_task(self._show_all())

    async def _show_all(self) -> None:
        """One plan at a time, of each person in turn; all share one pace."""
        try:
            while self._dirty or self._unrecorded:
                free = [goal for goal in self._dirty.values() if self._is_free(goal)]
                if goal := min(free, key=self._last_turn, default=None):
                    del self._dirty[goal.goal_id]
                    self._turns[goal.user_id] = time.monotonic()
                    await self._try(goal)
                for goal in [g for g in self._unrecorded.values() if self._is_free(g)]:
                    await self._record_plan(goal)
                await asyncio.sleep(self.pause_s)
        finally:
            self._work = None

    def _is_free(self, goal: Goal) -> bool:
        """Whether what was shown of it last is out."""
        return not self.outgoing.waits(_CARD + goal.goal_id)

    def _last_turn(self, goal: Goal) -> float:
        return self._turns.get(goal.user_id, 0.0)

    async def _try(self, goal: Goal) -> None:
        try:
            await self._show(goal)
            self._tries.pop(goal.goal_id, None)
        except VirtuousError as error:
            log.warning("goal_not_shown", goal=goal.goal_id, error=str(error))
            self._again(goal)
        except Exception:
            log.exception("goal_not_shown", goal=goal.goal_id)
            self._again(goal)

    def _again(self, goal: Goal) -> None:
        self._tries[goal.goal_id] += 1
        if self._tries[goal.goal_id] < MOST_TRIES:
            self._dirty.setdefault(goal.goal_id, goal)

    async def _show(self, goal: Goal) -> None:
        card = _CARD + goal.goal_id
        kept = await self.outgoing.kept_post(card)
        if kept and _revision(kept) > goal.revision:
            return
        if not self._recorded.get(goal.goal_id):
            self._unrecorded[goal.goal_id] = goal
        await self._show_questions(goal)
        await self._accept_answer(goal)
        minor = self._forms.get(goal.goal_id) == _form(goal)
        self._forms[goal.goal_id] = _form(goal)
        version = f"{goal.revision}{_ENDED if goal.ended else ''}"
        where = goal.channel_id, goal.thread_ts
        await self._put(card, version, where, plan_card(goal, self.clock()), minor=minor)

    async def _let_answer(self, goal: Goal) -> None:
        """The answer waits for no turn; where it cannot be kept now, showing the plan does."""
        try:
            await self._accept_answer(goal)
        except VirtuousError as error:
            log.warning("answer_not_kept", goal=goal.goal_id, error=str(error))

    async def _accept_answer(self, goal: Goal) -> None:
        """Keep the answer of a goal that has ended, to be said in its turn in the thread."""
        answers = goal.ended and goal.started_at is not None and goal.state != "cancelled"
        if answers and goal.goal_id not in self._said:
            await self.accept(_answer_of(goal, self.team_id))
            self._said[goal.goal_id] = True

    async def _put(
        self, name: str, version: str, where: tuple[str, str], card: PlanCard, *, minor: bool
    ) -> None:
        channel_id, thread_ts = where
        post = Post(
            f"{name}:{version}", channel_id, card.text, card.blocks, thread_ts,
            rewrites=name, plainer=card.plainer, minor=minor,
        )  # fmt: skip
        await self.outgoing.post(post)

    async def _record_plan(self, goal: Goal) -> None:
        """Remember the request and the plan as the answer to it, once, with where it stands."""
        del self._unrecorded[goal.goal_id]
        self._recorded[goal.goal_id] = True
        try:
            if await self.record.run(goal.run_id) is None:
                kept = await self.outgoing.kept_post(_CARD + goal.goal_id)
                if kept is None:
                    await self._tell_not_shown(goal)
                text = plan_text(goal, self.clock())
                finished = reply_of(goal, "plan", text)
                await self.answering.orchestrator.record(finished, kept.ts if kept else None)
        except VirtuousError as error:
            log.warning("plan_not_recorded", goal=goal.goal_id, error=str(error))

    async def _tell_not_shown(self, goal: Goal) -> None:
        await self.answering.voice.whisper(goal.channel_id, goal.user_id, NOT_SHOWN)

    # Questions

    async def _show_questions(self, goal: Goal) -> None:
        """Ask what is asked now, once; what is answered or not asked any more says so."""
        asked = self._asking[goal.goal_id]
        where, now = (goal.channel_id, goal.thread_ts), _questions(goal)
        for name, task in now.items():
            asked.add(name)
            await self._put(name, "asked", where, question_card(goal, task), minor=False)
        for name in asked - now.keys():
            asked.discard(name)
            await self._put(name, "answered", where, _answered(goal, name), minor=True)
        if not asked:
            del self._asking[goal.goal_id]


def _answer_of(goal: Goal, team_id: str) -> Incoming:
    """The answer that is to be said, in its turn in the thread."""
    return Incoming(
        kind="goal_answer",
        key=answer_run_id(goal),
        app_id="",
        team_id=team_id,
        channel_id=goal.channel_id,
        channel_type=channel_type_of(goal.channel_id),
        user_id=goal.user_id,
        text="",
        thread_ts=goal.thread_ts,
        in_thread=True,
        subject=goal.goal_id,
    )


def _pressed_on(item: Incoming) -> str:
    """The message that a request came with, which was tried again by a button."""
    return (item.inputs or {}).get("number", "")


def _revision(kept: Kept) -> int:
    """Which revision a card shows; -1 where there is no plan on it yet."""
    number = kept.shown.removeprefix(f"{kept.post_id}:").partition(":")[0]
    return int(number) if number.isdecimal() else -1


def _form(goal: Goal) -> object:
    """What is worth a message of its own where messages cannot be rewritten."""
    begun = "begun" if goal.state in ("running", "waiting") else goal.state
    return begun, tuple(task.key for task in goal.tasks)


def _questions(goal: Goal) -> dict[str, Task | None]:
    """What is asked now, by the name of its message."""
    found: dict[str, Task | None] = {}
    if goal.ended:
        return found
    if goal.asks:
        budget = goal.budget
        told = f"{goal.asks}|{budget.usd}|{budget.tokens}|{budget.seconds}"
        told += f"|{goal.askings}" if goal.askings else ""
        digest = hashlib.sha256(told.encode()).hexdigest()[:16]
        found[f"{_ASK}{goal.goal_id}::{digest}"] = None
    for task in goal.tasks:
        if task.state == "waiting":
            found[f"{_ASK}{goal.goal_id}:{task.number}:{len(task.answers)}"] = task
    return found


def _answered(goal: Goal, name: str) -> PlanCard:
    """What became of a question."""
    number, _, which = name.removeprefix(f"{_ASK}{goal.goal_id}:").partition(":")
    if not number:
        return answered_card("I asked whether to go on.", "no" if goal.ended else "yes")
    task = next(task for task in goal.tasks if str(task.number) == number)
    asked = f"Step {number} asked: {task.question}" if task.question else f"Step {number} asked."
    if len(task.answers) > int(which):
        return answered_card(asked, task.answers[int(which)])
    return answered_card(asked, "it is not needed any more")
