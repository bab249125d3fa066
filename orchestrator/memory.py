"""What was said before, from our own messages, fitted to what a model can take."""

import time
from collections.abc import Callable, Sequence

import structlog

from agents.turns import Role, TextDelta, Turn
from database.errors import ModelError
from database.records import Message, Run, Summary
from database.store import Store
from orchestrator.ports import ModelsPort
from orchestrator.requests import Request
from orchestrator.resource_pool import in_background

CHARACTERS_A_TOKEN = 4
"""A usual estimate for English; only budgets rest on it, never what is reported."""

BUDGET_TOKENS = 2000
SUMMARISE_ABOVE_TOKENS = 1500
KEEP_WORD_FOR_WORD = 6
"""The newest messages are never summarised away."""

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
        self._summarising: set[tuple[str, str]] = set()

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

        A failing model is logged: the next reply tries again.
        """
        if run.kind != "reply" or not run.channel_id or not run.thread_ts:
            return
        if run.message_ts == run.thread_ts:
            return
        thread = (run.channel_id, run.thread_ts)
        if thread in self._summarising:
            return
        self._summarising.add(thread)
        try:
            with in_background():
                await self._summarise(*thread)
        except ModelError as error:
            log.warning("summary_failed", channel=run.channel_id, problem=str(error))
        finally:
            self._summarising.discard(thread)

    async def _summarise(self, channel_id: str, thread_ts: str) -> None:
        summary = await self._store.latest_summary(channel_id, thread_ts)
        said = await self._after(channel_id, thread_ts, summary)
        old = said[:-KEEP_WORD_FOR_WORD]
        if not old or sum(tokens_of(m.text) for m in said) < self._summarise_above:
            return
        text = await self._shortened(summary, old)
        if text:
            self._store.append(
                Summary(channel_id, thread_ts, old[-1].ts, text, old[-1].audience, self._clock())
            )

    async def _shortened(self, summary: Summary | None, said: Sequence[Message]) -> str:
        lines = [f"Earlier: {summary.text}"] if summary else []
        lines += [f"{'Person' if m.role == 'person' else 'Assistant'}: {m.text}" for m in said]
        turns = [Turn("system", _SUMMARISING), Turn("user", "\n".join(lines))]
        pieces: list[str] = []
        async for event in self._models.stream(
            turns, model="fast", temperature=0.0, max_tokens=_MAX_SUMMARY_TOKENS
        ):
            if isinstance(event, TextDelta):
                pieces.append(event.text)
        return "".join(pieces).strip()

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
