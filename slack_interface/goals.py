"""What people say and press about plans: done as them, with the rights that they have.

Nothing here plans or runs: the port does, and asks again who may. What cannot be done is an
InputError whose words the person sees.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeVar

import structlog

from database.errors import (
    InputError,
    NotAllowed,
    StoreError,
    UnknownName,
    VirtuousError,
)
from database.goals import ANSWER, Goal, goal_id_of
from database.records import Run
from orchestrator.goal_requests import asks_for_plan
from orchestrator.limits import LimitReached
from slack_interface.answering import BROKEN, Answering
from slack_interface.files import SharedFiles
from slack_interface.gate import Gate
from slack_interface.goal_cards import home_plans, results_text
from slack_interface.goal_figures import listed, status, steps_of
from slack_interface.goal_meant import (
    MOST_TOLD,
    Meant,
    either,
    is_question,
    meant,
    names_of,
    which,
)
from slack_interface.goal_showing import GoalShowing
from slack_interface.goal_words import GoalWord, goal_word
from slack_interface.incoming import Incoming, Json
from slack_interface.learning_words import said
from slack_interface.model_words import ModelWords
from slack_interface.ports import GoalsPort
from slack_interface.sends import Place
from slack_interface.splitting import split_point
from slack_interface.voice import Voice
from slack_interface.working_notice import WorkingNotice

log = structlog.get_logger()
Read = TypeVar("Read")

GONE = "I do not have that plan any more: ask me anew."
STOPPED = "⏹️ Stopped before there was a plan."
MAYBE_STOPPED = (
    "⏹️ Stopped; but I cannot look whether there was a plan by then: {words} If one appears here, "
    "say `stop` once more."
)
NO_PLAN = "🚫 *I could not make a plan*: {words}"
PLAINLY = "🧭 *I answer without a plan*, as I could not make one: {words}"
TRIED_AGAIN = "🚫 *I could not make a plan*. I try it again, see below."
TRIED_ALREADY = "I have tried that again already: see below in the thread."
NO_REQUEST = "I do not have that request any more: ask me anew."
NOT_YOURS = "Only <@{user_id}>, who asked for it, can have it tried again."
UNCHANGED = "⏹️ I have left the plan as it was."
WHICH_STEP = "Say what the step should do, such as `add a step that checks our budget`."
KEPT_FOR_LATER = (
    "I cannot look at my plans just now. I keep what you said and try again for ten minutes: you "
    "need not repeat it."
)
NOT_KEPT = (
    "{words}\nI have tried for ten minutes, and what you said has changed nothing: please say it "
    "again later."
)
OVER = "That is over, so there is nothing to {verb}."
RESULTS_CHARS = 11_000
"""Of results in the thread; Slack takes 12,000 characters in a markdown block."""
BEGUN_S = 7 * 86_400.0
Begun = Literal["planned", "told", "plainly"]
"""What became of a request: there is a plan; there is none, which was said; an answer is wanted."""
_ANYWHERE: frozenset[str] = frozenset({"status", "results", "cancel", "skip", "model"})
"""What counts in a direct message also outside the plan's thread, while a plan runs there."""


@dataclass(slots=True)
class Goals:
    """Begins goals and does what people want of them; each act shows the plan as it is then."""

    port: GoalsPort
    gate: Gate
    showing: GoalShowing
    answering: Answering
    files: SharedFiles
    voice: Voice
    clock: Callable[[], float] = time.time
    again_s: float = 5.0
    patience_s: float = 600.0

    def __post_init__(self) -> None:
        self.port.ask_readers_of(self.gate.places.reader_now)

    # A request that needs a plan

    def wanted(self, item: Incoming, text: str) -> bool:
        """Whether to plan it; what comes with files or from a bot is answered as ever."""
        return not item.files and not item.bot and self.port.wanted(text)

    async def begin(self, item: Incoming, text: str, *, message_ts: str = "") -> Begun:
        """Make a plan and show it; where none came about, the thread says why.

        Who did not ask for a plan in so many words gets an answer without one, then.
        """
        request = self.answering.request(item, text, message_ts=message_ts)
        goal_id = goal_id_of(request.run_id)
        if item.resumed and await self.showing.went_without(goal_id):
            return "plainly"
        running = self.answering.running.start(
            request.run_id, item.user_id, item.channel_id, item.thread_ts
        )
        try:
            await self.showing.planning(goal_id, item)
            await self.showing.moved(await self.port.begin(request))
            return "planned"
        except asyncio.CancelledError:
            if not running.cut_short():
                raise
            return await self._stopped_planning(goal_id, item)
        except (LimitReached, NotAllowed) as error:
            await self.showing.no_plan(goal_id, item, NO_PLAN.format(words=said(str(error))))
            return "told"
        except VirtuousError as error:
            return await self._unplanned(goal_id, item, text, said(str(error)))
        except Exception:
            log.exception("planning_broken", run_id=request.run_id)
            words = said(BROKEN.format(run_id=request.run_id))
            return await self._unplanned(goal_id, item, text, words)
        finally:
            self.answering.running.end(running)

    async def _stopped_planning(self, goal_id: str, item: Incoming) -> Begun:
        """Somebody said stop; that the plan was there by then, nobody could see."""
        words = STOPPED
        try:
            goal = await self.port.goal(goal_id)
            if goal and not goal.ended:
                goal = await self.port.cancel(goal_id, goal.user_id, act=f"{item.key}:stop")
            if goal:
                await self.showing.moved(goal)
                return "planned"
        except VirtuousError as error:
            words = MAYBE_STOPPED.format(words=said(str(error)))
        await self.showing.no_plan(goal_id, item, words)
        return "told"

    async def _unplanned(self, goal_id: str, item: Incoming, text: str, why: str) -> Begun:
        """Something failed, perhaps only after there was a plan."""
        try:
            if goal := await self.port.goal(goal_id):
                await self.showing.moved(goal)
                return "planned"
        except VirtuousError as error:
            log.warning("plan_not_read", goal=goal_id, error=str(error))
        if asks_for_plan(text):
            await self.showing.no_plan(goal_id, item, NO_PLAN.format(words=why), again=True)
            return "told"
        await self.showing.goes_without(goal_id, item, PLAINLY.format(words=why))
        return "plainly"

    async def _try_again(self, item: Incoming) -> None:
        """Plan a request anew, once; `number` is the message that it came with."""
        message_ts = (item.inputs or {}).get("number", "")
        said_here = await self.answering.record.thread(item.channel_id, item.thread_ts, 500)
        found = [m for m in said_here if m.ts == message_ts and m.role == "person"]
        if not found:
            raise UnknownName(NO_REQUEST)
        if found[0].user_id != item.user_id:
            raise NotAllowed(NOT_YOURS.format(user_id=found[0].user_id))
        first = await self.gate.claims.claim(f"goal-again:{item.subject}", BEGUN_S)
        if not first and not item.resumed:
            raise InputError(TRIED_ALREADY)
        await self.showing.no_plan(item.subject, item, TRIED_AGAIN, version="again")
        await self.begin(item, found[0].text, message_ts=message_ts)

    # In its thread

    async def heard(self, item: Incoming, text: str, *, ordinary: bool) -> bool:
        """Do what the words want of a plan in whose thread they are; False: they want nothing.

        `ordinary` words, no command, may also be the answer to what a step asked. Who says in so
        many words that they want a plan wants a new one.
        """
        if item.bot or item.files or asks_for_plan(text):
            return False
        goals = await self._here(item, text)
        wanted = meant(goals, text, item.user_id if ordinary else "")
        if wanted is None:
            return False
        numbered = item.in_thread
        names = names_of(goals, numbered=numbered)
        if wanted.word.act == "either" and not wanted.unclear:
            asked = either(wanted.goals[0], text)
            await self.voice.tell(item, asked, openly=True)
        elif wanted.unclear:
            asked = which(wanted.goals, names, text, numbered=numbered)
            await self.voice.tell(item, asked, openly=True)
        else:
            await self._do(item, wanted, names)
        return True

    async def _here(self, item: Incoming, text: str) -> Sequence[Goal]:
        """The plans that a message may be about, oldest first."""
        word = goal_word(text)
        if not item.in_thread:
            may = item.direct and word and word.sure and word.act in _ANYWHERE
            return await self._under_way(item) if may else ()
        read = partial(self._in_thread, item.channel_id, item.thread_ts)
        try:
            return await read()
        except StoreError as error:
            log.warning("plan_not_read", error=str(error))
        plans = await self.showing.plans_in(item.channel_id, item.thread_ts)
        asked = any(map(self.showing.asks, plans)) and not is_question(text)
        # Where plans are kept is away: that keeps no answer from anybody who wants nothing of them.
        return await self._later(item, read) if plans and (word or asked) else ()

    async def _in_thread(self, channel_id: str, thread_ts: str) -> Sequence[Goal]:
        return await self.port.in_thread(channel_id, thread_ts)

    async def _later(self, item: Incoming, read: Callable[[], Awaitable[Read]]) -> Read:
        """What surely is about a plan is kept until plans can be read, and the person is told."""
        if item.kind == "goal":
            await self.voice.tell(item, KEPT_FOR_LATER)
        else:
            place = Place(item.channel_id, item.thread_ts, item.ts)
            await self.voice.post_once(f"{item.key}:kept", place, KEPT_FOR_LATER)
        until = asyncio.get_running_loop().time() + self.patience_s
        while True:
            await asyncio.sleep(self.again_s)
            try:
                return await read()
            except StoreError as error:
                if asyncio.get_running_loop().time() > until:
                    raise StoreError(NOT_KEPT.format(words=error)) from None

    async def _under_way(self, item: Incoming) -> Sequence[Goal]:
        """What somebody says in the direct message, but in no thread, may be about."""
        goals = await self.port.of_person(item.user_id)
        here = [goal for goal in goals if goal.channel_id == item.channel_id]
        return [goal for goal in reversed(here) if goal.state != "proposed"]

    async def _do(self, item: Incoming, wanted: Meant, names: Mapping[str, str]) -> None:
        goals, word = wanted.goals[-MOST_TOLD:], wanted.word
        if word.act == "results":
            await self._tell_results(item, goals[0], word)
            return
        if word.act == "status":
            told = [(names[goal.goal_id], status(goal, self.clock())) for goal in goals]
        else:
            told = [(await self._act(item, goals[0], word), names[goals[0].goal_id])]
        texts = ["\n".join(filter(None, lines)) for lines in told]
        await self.voice.tell(item, "\n\n".join(texts), openly=True)

    async def _tell_results(self, item: Incoming, goal: Goal, word: GoalWord) -> None:
        text = results_text(goal, word.numbers)
        if not text:
            await self.voice.tell(item, "There is no result yet.", openly=True)
            return
        name_of = self.gate.places.members.known_name
        words = ModelWords(f"{goal.request} <@{goal.user_id}>", name_of).whole(text)
        part = words[: split_point(words, RESULTS_CHARS)]
        if len(part) < len(words):
            part += "\n\n_There is more: ask for one step, such as `show step 1`._"
        await self.voice.tell(item, said(part, 3_000), [{"type": "markdown", "text": part}],
                              openly=True)  # fmt: skip

    # Clicks and forms

    async def obey(self, item: Incoming) -> None:
        """A button or a form: `command` says which, `subject` the goal, `inputs` perhaps a step."""
        if item.command == "again":
            await self._try_again(item)
            return
        read = partial(self.known, item.subject, item.channel_id)
        try:
            goal = await read()
        except StoreError:
            goal = await self._later(item, read)
        await self._pressed(item, goal)

    async def _pressed(self, item: Incoming, goal: Goal) -> None:
        number = (item.inputs or {}).get("number", "")
        numbers = (int(number),) if number.isdecimal() else ()
        match item.command:
            case "start" | "cancel":
                await self._act(item, goal, GoalWord(item.command))
            case "yes" | "no":
                await self._act(item, goal, GoalWord("answer", words=item.command))
            case "skip" if numbers:
                await self._act(item, goal, GoalWord("skip", numbers))
            case "answer":
                await self._act(item, goal, GoalWord("answer", numbers, item.text))
            case "change":
                told = await self._act(item, goal, GoalWord("change", words=item.text))
                await self.voice.tell(item, told)
            case "plainly":
                await self._answer_plainly(item, goal)
            case _:
                raise UnknownName("I do not know that button any more: it is of an older version.")

    async def may_act(self, goal: Goal, user_id: str) -> bool:
        """Whether somebody is an approver. Raises NotAllowed where they did not ask for it either.

        Whoever asked acts by their own right.
        """
        approver = await self.gate.is_approver(user_id)
        if not approver and user_id != goal.user_id:
            raise NotAllowed(
                f"That is <@{goal.user_id}>'s plan: only they can do that, or "
                f"{self.gate.approvers_in_words()}."
            )
        return approver

    async def known(self, goal_id: str, channel_id: str) -> Goal:
        """A goal by its id, where it is. Raises UnknownName."""
        goal = await self.port.goal(goal_id)
        if goal is None or goal.channel_id != channel_id:
            raise UnknownName(GONE)
        return goal

    async def readable(self, goal_id: str, channel_id: str, user_id: str) -> Goal:
        """The same for somebody who may read it. Raises UnknownName."""
        goal = await self.known(goal_id, channel_id)
        reader = await self.gate.places.reader(user_id)
        if user_id != goal.user_id and goal.audience not in reader.audiences():
            raise UnknownName(GONE)
        return goal

    async def _answer_plainly(self, item: Incoming, goal: Goal) -> None:
        """The request as any other, since there is no plan for it."""
        await self.may_act(goal, item.user_id)
        item = replace(item, thread_ts=goal.thread_ts, in_thread=True)
        request = self.answering.request(item, goal.request, message_ts=goal.message_ts)
        await self.answering.answer(request, item, self.files.of(item))

    async def _act(self, item: Incoming, goal: Goal, word: GoalWord) -> str:
        """Do it and show it; what to tell whoever wanted it, in mrkdwn."""
        approver = await self.may_act(goal, item.user_id)
        if word.act == "change" and not word.words.strip():
            raise InputError(WHICH_STEP)
        notice = WorkingNotice(
            self.voice.client, goal.channel_id, goal.thread_ts, self.answering.pace.slow()
        )
        try:
            do = self._change if word.act == "change" else self._done
            goal = await do(item, goal, word, approver)
        finally:
            notice.no_more()
            await notice.end()
        await self.showing.moved(goal)
        if word.act == "change" and item.key not in goal.acts:
            return UNCHANGED
        return _told(goal, word)

    async def _change(self, item: Incoming, goal: Goal, word: GoalWord, approver: bool) -> Goal:
        """As `_done`; it takes a model's time, so "stop" does not wait behind it."""
        running = self.answering.running.start(
            item.key, item.user_id, goal.channel_id, goal.thread_ts, hears=True
        )
        try:
            return await self._done(item, goal, word, approver)
        except asyncio.CancelledError:
            if not running.cut_short():
                raise
            return await self.known(goal.goal_id, goal.channel_id)
        finally:
            self.answering.running.end(running)

    async def _done(self, item: Incoming, goal: Goal, word: GoalWord, approver: bool) -> Goal:
        """The goal after it. What a process that was killed has done already is not done again."""
        port, person, identifier, act = self.port, item.user_id, goal.goal_id, item.key
        if goal.ended and act not in goal.acts:
            raise InputError(OVER.format(verb=word.act if word.act != "model" else "change"))
        match word.act:
            case "start":
                return await port.start(identifier, person, approver=approver, act=act)
            case "cancel":
                own = person == goal.user_id
                why = "" if own else f"by {await self.gate.places.name(person)}"
                return await port.cancel(identifier, person, why, approver=approver, act=act)
            case "skip":
                return await port.skip(
                    identifier, word.numbers, person, word.words, approver=approver, act=act
                )
            case "model":
                return await port.use_model(
                    identifier, word.model, person, word.numbers, approver=approver, act=act
                )
            case "change":
                return await port.change(identifier, word.words, person, approver=approver, act=act)
            case _:
                which = word.numbers[0] if word.numbers else None
                return await port.answer(
                    identifier, word.words, person, which, approver=approver, act=act
                )

    # Saving it as a workflow

    async def with_steps(self, runs: Sequence[Run]) -> list[Run]:
        """These answers, with the steps of a goal that went well in place of its two replies."""
        found: list[Run] = []
        seen: set[str] = set()
        for run in runs:
            goal_id = str((run.route or {}).get("goal") or "")
            if not goal_id:
                found.append(run)
            elif goal_id not in seen:
                seen.add(goal_id)
                goal = await self.port.goal(goal_id)
                found += _steps_as_runs(goal, run) if goal else []
        return found

    # App Home

    async def home(self, user_id: str) -> list[Json]:
        """The person's plans that are not over. Raises StoreError."""
        return home_plans(await self.port.of_person(user_id), self.clock())


def _steps_as_runs(goal: Goal, request: Run) -> list[Run]:
    """What was asked of whom, as if a person had asked one after the other."""
    return [
        replace(
            request, run_id=task.run_id or f"{goal.goal_id}:{task.key}", request=task.instruction,
            agent=task.agent or request.agent, reply=task.result, route=None,
        )
        for task in steps_of(goal)
        if task.state == "done" and task.key != ANSWER
    ]  # fmt: skip


def _told(goal: Goal, word: GoalWord) -> str:
    note = said(goal.notes[-1], 500) if goal.notes else ""
    match word.act:
        case "start":
            return "▶️ Started: the plan above shows how far it is."
        case "cancel":
            return "⏹️ Stopped. What was done is kept in the plan above."
        case "skip":
            return f"⏭️ Skipped: step {listed(word.numbers)}."
        case "model":
            kind = "fast, cheaper" if word.model == "fast" else "strong"
            what = f"step {listed(word.numbers)}" if word.numbers else "the work"
            return f"🔧 From here on the {kind} model does {what}."
        case "change":
            return f"🔧 {note}" if note else "🔧 Changed: see the plan above."
        case _:
            return "👍 Thank you, it goes on." if not goal.ended else "⏹️ Stopped."
