"""What was said before, from our own messages, fitted to what a model can take."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from cachetools import LRUCache

from agents.turns import ModelFinished, Role, TextDelta, Turn
from database.errors import ModelError
from database.records import Message, Run, Step, Summary, run_id_of
from database.store import Store
from orchestrator.model_steps import failed_step, step_of, with_step
from orchestrator.ports import ModelsPort
from orchestrator.requests import Request
from orchestrator.resource_pool import in_background

CHARACTERS_A_TOKEN = 4
"""A usual estimate for English; only budgets rest on it, never what is reported."""

BUDGET_TOKENS = 2000
SUMMARISE_ABOVE_TOKENS = 1500
KEEP_WORD_FOR_WORD = 6
"""The newest messages are never summarised away."""

SUMMARISED_AT_ONCE_TOKENS = 3000
"""What a small model can read; a longer thread is summarised piece by piece."""
FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
"""After a failure a thread is left alone for a minute, after each further one twice as long."""

_NAME = "memory"
_LIMIT = 200
_MAX_SUMMARY_TOKENS = 300
_SUMMARISING = (
    "Shorten the conversation to at most ten sentences. Keep names, numbers, dates, decisions and "
    "open questions. Write only the summary."
)

log = structlog.get_logger()


def tokens_of(text: str) -> int:
    """About how many tokens a text takes."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


_Thread = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Pause:
    until: float
    seconds: float


class Memory:
    """Conversations as turns, and their summaries."""

    def __init__(
        self,
        store: Store,
        models: ModelsPort,
        *,
        budget_tokens: int = BUDGET_TOKENS,
        summarise_above: int = SUMMARISE_ABOVE_TOKENS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._models = models
        self._budget = budget_tokens
        self._summarise_above = summarise_above
        self._clock = clock
        self._summarising: set[_Thread] = set()
        self._paused: LRUCache[_Thread, _Pause] = LRUCache(1_000)

    async def before(self, request: Request, until: str | None = None) -> list[Turn]:
        """What was said in the thread before this request, newest last.

        The latest summary and what came after it, as much as fits the budget; with `until` only
        what came before that message. The first message of a thread costs no look at the store.
        """
        continues = request.parent_run_id is not None
        if request.message_ts == request.thread_ts and not continues:
            return []
        channel, thread = request.channel_id, request.thread_ts
        summary = await self._store.latest_summary(channel, thread)
        if summary and until and float(summary.until_ts) >= float(until):
            summary = None
        said = await self._after(channel, thread, summary)
        if until:
            said = [m for m in said if float(m.ts) < float(until)]
        elif not continues:
            said = [m for m in said if m.ts != request.message_ts]
        return self._fitted(summary, said)

    async def summarise(self, run: Run) -> None:
        """Summarise the thread of a recorded run once it has grown long; for the bus.

        What it takes is a run of kind `review`, made by that run. A failing model is logged, and
        the thread is left alone for a while.
        """
        if run.kind != "reply" or not run.channel_id or not run.thread_ts:
            return
        if run.message_ts == run.thread_ts:
            return
        thread = (run.channel_id, run.thread_ts)
        pause = self._paused.get(thread)
        if thread in self._summarising or (pause and self._clock() < pause.until):
            return
        self._summarising.add(thread)
        try:
            with in_background():
                await self._summarise(run, *thread)
            self._paused.pop(thread, None)
        except ModelError as error:
            seconds = min(
                LONGEST_PAUSE_SECONDS, pause.seconds * 2 if pause else FIRST_PAUSE_SECONDS
            )
            self._paused[thread] = _Pause(self._clock() + seconds, seconds)
            log.warning("summary_failed", channel=run.channel_id, problem=str(error))
        finally:
            self._summarising.discard(thread)

    async def _summarise(self, run: Run, channel_id: str, thread_ts: str) -> None:
        summary = await self._store.latest_summary(channel_id, thread_ts)
        said = await self._after(channel_id, thread_ts, summary)
        if sum(tokens_of(m.text) for m in said) < self._summarise_above:
            return
        old = _readable(summary, said[:-KEEP_WORD_FOR_WORD])
        if not old:
            return
        text = await self._shortened(run, summary, old)
        unchanged = summary == await self._store.latest_summary(channel_id, thread_ts)
        # What was edited, deleted or forgotten meanwhile must not live on in a summary.
        unchanged &= set(old) <= set(await self._after(channel_id, thread_ts, summary))
        if text and unchanged:
            self._store.append(
                Summary(channel_id, thread_ts, old[-1].ts, text, old[-1].audience, self._clock())
            )

    async def _shortened(self, run: Run, summary: Summary | None, said: Sequence[Message]) -> str:
        turns = [Turn("system", _SUMMARISING), Turn("user", "\n".join(_lines(summary, said)))]
        pieces: list[str] = []
        began = self._clock()
        try:
            async for event in self._models.stream(
                turns, model="fast", temperature=0.0, max_tokens=_MAX_SUMMARY_TOKENS
            ):
                if isinstance(event, TextDelta):
                    pieces.append(event.text)
                elif isinstance(event, ModelFinished):
                    self._keep(run, began, step_of("summary", event))
        except ModelError as error:
            took = (self._clock() - began) * 1000
            step = failed_step("summary", self._models.resolve("fast"), str(error), took)
            self._keep(run, began, step)
            raise
        return "".join(pieces).strip()

    def _keep(self, run: Run, began: float, step: Step) -> None:
        """What a summary took, as a run made by the one that was recorded."""
        made = Run(
            run_id_of(run.run_id, "summary"),
            "",
            _NAME,
            kind="review",
            parent_run_id=run.run_id,
            started_at=began,
            user_id=run.user_id,
            channel_id=run.channel_id,
            thread_ts=run.thread_ts,
            audience=run.audience,
        )
        self._store.append(with_step(made, step))

    async def _after(
        self, channel_id: str, thread_ts: str, summary: Summary | None
    ) -> list[Message]:
        said = await self._store.thread(channel_id, thread_ts, _LIMIT)
        if summary is None:
            return said
        return [m for m in said if float(m.ts) > float(summary.until_ts)]

    def _fitted(self, summary: Summary | None, said: Sequence[Message]) -> list[Turn]:
        left = self._budget
        opening: list[Turn] = []
        if summary:
            # A second system turn breaks some models' templates, and these are people's words.
            opening = [Turn("user", f"(Earlier in this conversation: {summary.text})")]
            left -= tokens_of(summary.text)
        turns: list[Turn] = []
        for message in reversed(said):
            left -= tokens_of(message.text)
            if left < 0:
                break
            role: Role = "user" if message.role == "person" else "assistant"
            turns.append(Turn(role, message.text))
        return [*opening, *reversed(turns)]


def _readable(summary: Summary | None, said: Sequence[Message]) -> Sequence[Message]:
    """As many of the oldest messages as a small model reads at once; one at least."""
    left = SUMMARISED_AT_ONCE_TOKENS - (tokens_of(summary.text) if summary else 0)
    for count, message in enumerate(said):
        left -= tokens_of(message.text)
        if left < 0:
            return said[: max(1, count)]
    return said


def _lines(summary: Summary | None, said: Sequence[Message]) -> list[str]:
    """The conversation as the model reads it; a message too long for it is cut."""
    most = SUMMARISED_AT_ONCE_TOKENS * CHARACTERS_A_TOKEN
    lines = [f"Earlier: {summary.text}"] if summary else []
    for message in said:
        who = "Person" if message.role == "person" else "Assistant"
        lines.append(f"{who}: {message.text[:most]}")
    return lines
