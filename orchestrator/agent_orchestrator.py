"""From a request to a recorded reply: route, answer, fall back, record."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

import structlog
from cachetools import LRUCache, TTLCache

from agents.errors import AWAY
from agents.ports import FilesPort, KnownErrorsPort, ToolContext, WorkflowsPort
from agents.tools.tape import Tape
from agents.turns import StepFinished, StepStarted, TextDelta, Turn
from agents.universal_agent import AgentFinished, AgentStopped
from database.errors import UnknownName, VirtuousError
from database.privacy import Redactor
from database.records import (
    IMPLICIT,
    PUBLIC,
    Feedback,
    Message,
    Person,
    Reader,
    Run,
    Step,
)
from database.store import Store
from orchestrator.agent_pool import AgentPool, LiveAgent, fallback_order
from orchestrator.answering import (
    STOPPED,
    Answer,
    local_time,
    question,
    thread_reader,
    words_for,
)
from orchestrator.consent import Consent
from orchestrator.event_bus import EventBus
from orchestrator.intents import wanted_specialist
from orchestrator.known_errors import KnownErrors
from orchestrator.limits import LimitReached, Limits
from orchestrator.memory import Memory
from orchestrator.ports import ModelsPort, Watch
from orchestrator.requests import ReplyEvent, ReplyFinished, ReplyStarted, Request
from orchestrator.resource_pool import replying_to
from orchestrator.routing import GENERALIST, Router
from orchestrator.spawning import Spawner
from orchestrator.task_types import TaskTypes
from orchestrator.trials.arms import Arms, Place, Served

log = structlog.get_logger()

_RECORD_SECONDS = 90 * 24 * 3600.0
_ONLY_HERE = ", for those who can read this; ask in a public channel for one for everybody"
_EDIT_SECONDS = 3600.0
"""How long the new words of a message that is not remembered yet are kept for it."""
"""After these another agent on the same model would only make the person wait longer."""


class AgentOrchestrator:
    """Answers requests and keeps what was said and felt.

    Everything on the reply's path is in memory or a single-row read; the rest is on the bus.
    """

    def __init__(
        self,
        *,
        store: Store,
        models: ModelsPort,
        pool: AgentPool,
        router: Router,
        task_types: TaskTypes,
        memory: Memory,
        redactor: Redactor,
        bus: EventBus,
        workflows: WorkflowsPort,
        consent: Consent,
        spawn: Spawner | None = None,
        limits: Limits | None = None,
        arms: Arms | None = None,
        watch: Watch | None = None,
        known_errors: KnownErrors | None = None,
        before_reply: Callable[[], None] = lambda: None,
        brief: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._models = models
        self._pool = pool
        self._router = router
        self._task_types = task_types
        self._memory = memory
        self._redactor = redactor
        self._bus = bus
        self._workflows = workflows
        self._consent = consent
        self._spawn = spawn
        self._limits = limits
        self._arms = arms
        self._watch = watch
        self._known_errors = known_errors
        self._before_reply = before_reply
        self._brief = brief
        self._clock = clock
        self._agent_of: LRUCache[tuple[str, str], str] = LRUCache(maxsize=10_000)
        self._edits: TTLCache[tuple[str, str], str] = TTLCache(1_000, _EDIT_SECONDS)
        self._to_learn = True
        bus.on("run_recorded", self._after_run)
        bus.on("feedback_given", self._note_feedback)

    async def start(self) -> None:
        """Take up what was learned before."""
        await self._task_types.load()
        await self.learn_what_worked()

    async def learn_what_worked(self) -> None:
        """Let routing know how agents did, if there was feedback since the last time.

        Or if somebody decided what is learned from. For the clock, not for each feedback: it reads
        the runs of three months.
        """
        if self._consent.changed() or self._to_learn:
            self._to_learn = False
            self._router.learn(await self._store.agent_record(self._clock() - _RECORD_SECONDS))

    def learn_anew(self) -> None:
        """Somebody decided whether is learned from them: routing hears of it with the clock."""
        self._to_learn = True

    async def reply(self, request: Request, files: FilesPort) -> AsyncGenerator[ReplyEvent, None]:
        """Answer; the last event is ReplyFinished, also on failure or when cancelled.

        Cancelling keeps what was said: the run's error then says who stopped it.
        """
        self._before_reply()
        if self._watch:
            self._watch.make_way()
        answer = Answer(request, time.perf_counter())
        try:
            async with aclosing(self._admitted(answer, files)) as events:
                async for event in events:
                    yield event
        except asyncio.CancelledError:
            yield answer.finished(error=STOPPED)
        except VirtuousError as error:
            yield self._failed(answer, error)
        except Exception as error:
            log.exception("reply_failed", run_id=request.run_id)
            unexpected = VirtuousError("Something went wrong here; it is in the log. Try again.")
            unexpected.__cause__ = error
            yield self._failed(answer, unexpected)
        finally:
            if self._watch:
                self._watch.go_on()

    async def _admitted(self, answer: Answer, files: FilesPort) -> AsyncGenerator[ReplyEvent, None]:
        """The answer, if the limits allow it; its model calls go before background work."""
        request = answer.request
        if self._limits:
            self._limits.admit(request)
        described = self._wanted(request)
        work = self._create(answer, described) if described else self._answer(answer, files)
        try:
            with replying_to(request.user_id):
                async with aclosing(work) as events:
                    async for event in events:
                        yield event
        finally:
            if self._limits:
                self._limits.done(request)

    async def record(self, finished: ReplyFinished, reply_ts: str | None) -> None:
        """Keep the run and its messages, redacted, and announce the run.

        `reply_ts` is where the answer can be seen; without one the answer is not remembered as
        part of the conversation.
        """
        original = replace(finished.run, reply_ts=reply_ts)
        run = self._redactor.redact_run(original)
        # Messages mostly say what the run says: redacting that text twice would double the cost.
        known = {original.request: run.request, original.reply: run.reply}
        messages = [self._kept(message, known, reply_ts) for message in finished.messages]
        self._store.append(run, *(message for message in messages if message.ts))
        if self._limits:
            self._limits.spend(run)
        if run.channel_id and run.thread_ts and not run.error:
            self._agent_of[run.channel_id, run.thread_ts] = run.agent
        self._bus.emit("run_recorded", run)

    async def heard(self, message: Message) -> None:
        """Remember a message that needs no answer."""
        self._store.append(self._redactor.redact_message(message))

    async def edited(self, channel_id: str, ts: str, text: str) -> None:
        """A message now says something else, also while it is being answered."""
        text = self._redactor.redact(text)
        if not await self._store.edit_message(channel_id, ts, text):
            self._edits[channel_id, ts] = text

    async def deleted(self, channel_id: str, ts: str) -> None:
        """A remembered message is gone."""
        await self._store.delete_message(channel_id, ts)

    async def give_feedback(self, feedback: Feedback) -> None:
        """Keep feedback; the same feedback_id twice is one feedback.

        What is only read between the lines is not kept of whoever is not learned from.
        """
        if feedback.kind in IMPLICIT and feedback.weight and not await self._may_learn(feedback):
            return
        kept = self._redactor.redact_feedback(feedback)
        self._store.append(kept)
        self._bus.emit("feedback_given", kept)

    async def _may_learn(self, feedback: Feedback) -> bool:
        run = await self._store.run(feedback.run_id)
        return await self._consent.given(feedback.user_id, run.channel_id if run else None)

    def holds_secret(self, text: str) -> bool:
        """Whether there is a password or a key in it, which is not kept."""
        return self._redactor.holds_secret(text)

    async def better_request(self, run: Run, wish: str, request_base: Request) -> Request:
        """The request of `run` again, to be answered by the same agent with `wish` in mind."""
        await self._pool.refresh()
        agent = run.agent if self._pool.serves(run.agent, thread_reader(request_base)) else None
        return replace(
            request_base,
            text=run.request,
            instruction=wish.strip() or "give a better answer",
            parent_run_id=run.run_id,
            agent=agent,
        )

    def _wanted(self, request: Request) -> str | None:
        """The specialist that is asked for; whoever wants an answer again wants no second one."""
        if self._spawn is None or request.instruction is not None:
            return None
        return wanted_specialist(request.text)

    async def _answer(self, answer: Answer, files: FilesPort) -> AsyncGenerator[ReplyEvent, None]:
        first, turns, context = await self._prepared(answer, files)
        stopped: AgentStopped | None = None
        for name in self._order(first):
            if stopped is not None and not self._worth_trying(name, stopped.cause, answer):
                continue
            served = self._served(name, answer)
            context = self._watched(answer, served, turns, context)
            try:
                async with (
                    self._pool.use(served.document, served.version) as live,
                    aclosing(live.agent.run(turns, context)) as said,
                ):
                    yield self._started(answer, live)
                    async for event in said:
                        if isinstance(event, AgentFinished):
                            for last in self._ended(answer, event):
                                yield last
                        else:
                            if isinstance(event, TextDelta):
                                answer.said(event.text)
                            yield event
                return
            except AgentStopped as error:
                stopped = error
                answer.failed(error.steps, away=isinstance(error.cause, AWAY))
        raise stopped.cause if stopped else UnknownName("There is no agent. Run `doctor`.")

    async def _prepared(
        self, answer: Answer, files: FilesPort
    ) -> tuple[str, list[Turn], ToolContext]:
        """Who is to answer first, and what they are given."""
        request = answer.request
        await self._pool.refresh()
        if self._known_errors:
            await self._known_errors.refresh()
        person = await self._store.person(request.user_id)
        first = await self._routed(answer, person)
        if self._limits:
            self._limits.admit_agent(first)
        turns = await self._turns(request, person)
        named = await self._workflows.named_in(request.text, thread_reader(request))
        return first, turns, self._context(answer, person, files, named)

    async def _create(self, answer: Answer, described: str) -> AsyncGenerator[ReplyEvent, None]:
        """A new specialist, as the person asked for."""
        assert self._spawn is not None
        title = "Creating a specialist"
        answer.tried.append(GENERALIST)
        yield ReplyStarted(GENERALIST, title, "You asked for a new specialist.")
        yield StepStarted("spawn", title)
        began = time.perf_counter()
        name, problem = "", None
        drafting: list[Step] = []
        try:
            name = await self._spawn.spawn(
                described, answer.request.user_id, answer.request.audience, drafting.append
            )
        except VirtuousError as error:
            problem = error
        took = (time.perf_counter() - began) * 1000
        step = Step(0, "tool", "spawn_specialist", {"description": described}, problem is None,
                    str(problem) if problem else None, took)  # fmt: skip
        answer.took([*drafting, step], next((s.name for s in drafting if s.ok), None))
        yield StepFinished("spawn", title, problem is None, str(problem) if problem else name)
        if problem is not None:
            raise problem
        definition = self._pool.definitions[name]
        text = (
            f"**{name}** is here now. {definition.description}\n\n"
            f"It answers requests such as “{(definition.examples or (described,))[0]}” "
            f"from the next message on{_ONLY_HERE if answer.request.audience != PUBLIC else ''}."
        )
        answer.said(text)
        yield TextDelta(text)
        yield answer.finished()

    def _ended(self, answer: Answer, event: AgentFinished) -> Iterator[ReplyEvent]:
        """The last events of an agent's run: its question to the person, and the end."""
        answer.took(event.steps, event.model)
        if event.needs_person and event.needs_person not in event.reply:
            text = TextDelta(f"\n\n{event.needs_person}" if event.reply else event.needs_person)
            answer.said(text.text)
            yield text
        yield self._failed(answer, event.error) if event.error else answer.finished()

    async def _routed(self, answer: Answer, person: Person | None) -> str:
        request = answer.request
        answer.vector = vector = self._router.embed(request.text)
        learned = self._consent.allows(person, request.channel_id)
        answer.learned = learned
        kind_of = self._task_types.assign if learned else self._task_types.known
        answer.task_type = kind_of(vector)
        asked = request.agent
        reader = thread_reader(request)
        if asked and not self._pool.serves(asked, reader):
            raise UnknownName(f"There is no agent called {asked}. See `agents list`.")
        answer.route = await self._router.route(
            request.text,
            vector,
            task_type=answer.task_type,
            current=await self._current(request),
            asked=asked,
            audiences=reader.audiences(),
        )
        if answer.route.step:
            answer.took([answer.route.step])
        return answer.route.agent

    async def _current(self, request: Request) -> str | None:
        """The agent that answered last in this thread."""
        if request.message_ts == request.thread_ts:
            return None
        thread = (request.channel_id, request.thread_ts)
        agent = self._agent_of.get(thread)
        if agent is None:
            agent = await self._store.last_agent(*thread)
        return agent if agent and self._pool.serves(agent, thread_reader(request)) else None

    async def _turns(self, request: Request, person: Person | None) -> list[Turn]:
        settings = person.settings if person else {}
        parent = None
        if request.instruction is not None and request.parent_run_id:
            parent = await self._store.run(request.parent_run_id)
        until = parent.message_ts if parent else None
        before = await self._memory.before(request, until)
        return [*before, *question(request, settings, parent)]

    def _context(
        self, answer: Answer, person: Person | None, files: FilesPort, named: Sequence[str]
    ) -> ToolContext:
        request, reader = answer.request, thread_reader(answer.request)
        return ToolContext(
            user_id=request.user_id,
            channel_id=request.channel_id,
            thread_ts=request.thread_ts,
            reader=reader,
            now=local_time(person.settings if person else {}),
            recall=self._store,
            files=files,
            workflows=self._workflows,
            spawn=self._spawn.heard_by(request.audience) if self._spawn else None,
            named_workflows=named,
            known_errors=self._told(answer, reader),
            brief=self._brief,
        )

    def _told(self, answer: Answer, reader: Reader) -> KnownErrorsPort | None:
        """What the answer is told of earlier errors; nothing while what was learned is off."""
        off = self._arms is not None and self._arms.off
        if self._known_errors is None or off or not answer.learned:
            return None
        return self._known_errors.told(answer.request.run_id, reader.audiences())

    def _served(self, name: str, answer: Answer) -> Served:
        """The document and version that answer for an agent; only the first one tried may be tried
        on.
        """
        request = answer.request
        if self._arms is None or name not in self._pool.definitions:
            return Served(name)
        place = Place(
            thread=f"{request.channel_id}/{request.thread_ts}",
            run_id=request.run_id,
            task_type=answer.task_type,
            audiences=thread_reader(request).audiences(),
            learned=answer.learned and not answer.tried,
            vector=answer.vector,
        )
        return self._arms.serve(name, place)

    def _watched(
        self, answer: Answer, served: Served, turns: Sequence[Turn], context: ToolContext
    ) -> ToolContext:
        """What is asked, put down for the candidates that are to answer the same, unseen."""
        if not answer.tried:
            answer.served = served
        if self._watch is None or not served.shadows:
            return context
        context = replace(context, tape=Tape())
        self._watch.asked(answer.request.run_id, served.shadows, turns, context)
        return context

    def _order(self, first: str) -> list[str]:
        definitions = self._pool.definitions
        if first not in definitions:
            return [first]
        others = fallback_order(definitions[first], definitions)
        limits = self._limits
        return [first, *(one for one in others if limits is None or limits.agent_may(one))]

    def _worth_trying(self, name: str, problem: VirtuousError, answer: Answer) -> bool:
        if not isinstance(problem, AWAY):
            return True
        definitions = self._pool.definitions
        tried = {self._models.resolve(definitions[n].model) for n in answer.tried}
        return self._models.resolve(definitions[name].model) not in tried

    def _started(self, answer: Answer, live: LiveAgent) -> ReplyStarted:
        answer.serve(live)
        name = live.definition.name
        if len(answer.tried) > 1:
            why = f"{answer.tried[-2]} could not answer, so {name} does."
        else:
            why = answer.route.sentence() if answer.route else ""
        return ReplyStarted(name, name.replace("-", " ").capitalize(), why)

    def _failed(self, answer: Answer, error: VirtuousError) -> ReplyFinished:
        cause = error.__cause__ or error
        refused = isinstance(error, LimitReached)
        return answer.finished(
            error=f"{type(cause).__name__}: {cause}",
            problem=str(error) if refused else words_for(error, bool(answer.pieces)),
            judged=not refused,
        )

    def _kept(
        self, message: Message, known: dict[str | None, str | None], reply_ts: str | None
    ) -> Message:
        if message.role == "assistant" and not message.ts:
            message = replace(message, ts=reply_ts or "")
        edited = self._edits.pop((message.channel_id, message.ts), None)
        if edited is not None:
            return replace(message, text=edited)
        text = known.get(message.text)
        if text is None:
            return self._redactor.redact_message(message)
        return replace(message, text=text)

    async def _after_run(self, run: Run) -> None:
        await self._task_types.save()
        await self._memory.summarise(run)

    async def _note_feedback(self, _: Feedback) -> None:
        self._to_learn = True
