"""Running an agent: the only agent loop.

A small loop of ours on the model adapter, because of what a streamed chunk costs: through
langchain's create_agent each chunk took about 0.35 ms, on the adapter alone 0.25 ms, and the loop
itself 2.4 ms a message. This one adds microseconds; every chunk goes straight through.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from agents.definition import AgentDefinition
from agents.errors import ModelAnswerCut, ModelAnswerEmpty
from agents.ports import ToolContext
from agents.tools.base import Tool
from agents.tools.calling import Outcome, ToolCalling
from agents.turns import (
    ModelEvent,
    ModelFinished,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolCallsRequested,
    ToolSpec,
    Turn,
)
from database.errors import BudgetExceeded, ModelError, VirtuousError
from database.records import Step

_NEARLY_SPENT = 0.8
"""Past this share of a budget the next model call is the last one and must answer."""

_ANSWER_NOW = (
    "No more tools can be called. Answer now with what is known; say plainly what is missing."
)
_CHARACTERS_A_TOKEN = 4
_EVERYBODYS_TOOLS = ("read_file", "run_workflow")
"""Every agent has these where files are shared and workflows named: routing looks at the meaning of
a request, not at what lies beside it, and an agent without them would answer about nothing."""

_log = structlog.get_logger()


class ModelPort(Protocol):
    """What the loop needs of the model adapter (agents/models.py)."""

    def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncIterator[ModelEvent]:
        """One model call; its last event is ModelFinished. Raises ModelError."""


@dataclass(frozen=True, slots=True)
class AgentFinished:
    """The end of a run. `reply` is all the text that was streamed.

    `needs_person` is a question that the person must answer first. `error` is why the answer is
    incomplete or missing (a budget, or a model that failed after it had begun). Tokens are None
    where no provider counted them, cost is None if any step's price is unknown; times milliseconds
    since the run began.
    """

    reply: str
    steps: tuple[Step, ...]
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    duration_ms: float = 0.0
    first_token_ms: float | None = None
    needs_person: str | None = None
    error: VirtuousError | None = None


AgentEvent = TextDelta | StepStarted | StepFinished | AgentFinished


class AgentStopped(ModelError):
    """The model failed before anything was said or done, so that another agent may try.

    `cause` is the model's own error, `steps` what was tried.
    """

    def __init__(self, cause: ModelError, steps: tuple[Step, ...]) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.steps = steps


class UniversalAgent:
    """One definition, ready to answer; holds nothing of a conversation, so many runs may share it.

    A tool that the definition names and `tools` lacks is left out with a warning (an MCP server
    that is away): what is not in the catalogue cannot be called.
    """

    def __init__(
        self, definition: AgentDefinition, models: ModelPort, tools: Mapping[str, Tool]
    ) -> None:
        self.definition = definition
        self._models = models
        self._demonstrations = [
            turn
            for shown in definition.demonstrations
            for turn in (Turn("user", shown.request), Turn("assistant", shown.answer))
        ]
        lent = [name for name, tool in tools.items() if definition.name in tool.lent_to]
        named = dict.fromkeys((*definition.tools, *_EVERYBODYS_TOOLS, *lent))
        self._tools = {name: tools[name] for name in named if name in tools}
        missing = [name for name in definition.tools if name not in tools]
        if missing:
            _log.warning("tools_missing", agent=definition.name, tools=missing)

    async def run(
        self, turns: Sequence[Turn], context: ToolContext
    ) -> AsyncGenerator[AgentEvent, None]:
        """Answers `turns` (the last one is the request); the last event is AgentFinished.

        Raises AgentStopped when the model failed before any text was streamed and before any tool
        with an effect ran; later failures end in AgentFinished.error. Closing the generator closes
        the model's stream.
        """
        tools = {name: tool for name, tool in self._tools.items() if tool.offered(context)}
        specs = [tool.spec for tool in tools.values()]
        work = _Work(self.definition, ToolCalling(tools, context))
        said = self._opening(turns, context)
        while work.may_go_on():
            last = work.next_is_last()
            stream = self._call(said, () if last else specs, asked=bool(work.steps))
            try:
                while (event := await work.next_event(stream)) is not None:
                    yield event
            finally:
                await _close(stream)
            said.append(Turn("assistant", work.text_of_call(), work.calls))
            for group in work.calling.groups(work.calls):
                for call in group:
                    yield work.calling.started(call)
                for outcome in await work.calling.run(group, work.deadline):
                    work.did(outcome)
                    said.append(Turn("tool", outcome.text, tool_call_id=outcome.call.id))
                    yield work.calling.finished(outcome)
        yield work.finished()

    def _opening(self, turns: Sequence[Turn], context: ToolContext) -> list[Turn]:
        """One system turn (many chat templates allow no second), demonstrations, the turns.

        The names of files and workflows stand beside the request, as people chose them.
        """
        parts = [self.definition.system_prompt, f"Today is {context.now:%A %Y-%m-%d}."]
        parts += [turn.text for turn in turns if turn.role == "system"]
        rest = [turn for turn in turns if turn.role != "system"]
        if files := ", ".join(file.name for file in context.files.files()):
            rest[-1] = _beside(rest[-1], f"Shared in this thread: {files}")
        if named := ", ".join(context.named_workflows):
            rest[-1] = _beside(rest[-1], f"Saved workflows: {named}")
        return [Turn("system", "\n\n".join(parts)), *self._demonstrations, *rest]

    def _call(
        self, said: Sequence[Turn], tools: Sequence[ToolSpec], *, asked: bool
    ) -> AsyncIterator[ModelEvent]:
        turns = said if tools or not asked else [*said, Turn("user", _ANSWER_NOW)]
        return self._models.stream(
            turns,
            model=self.definition.model,
            temperature=self.definition.temperature,
            max_tokens=self.definition.max_tokens,
            tools=tools,
        )


class _Work:
    """What one run has said, done and spent so far."""

    def __init__(self, definition: AgentDefinition, calling: ToolCalling) -> None:
        self._definition = definition
        self._budget = definition.budget
        self.calling = calling
        self.calls: tuple[ToolCall, ...] = ()
        self.steps: list[Step] = []
        self.deadline = asyncio.get_running_loop().time() + self._budget.max_seconds
        self._began = time.perf_counter()
        self._call_began = self._began
        self._first_token_ms: float | None = None
        self._said: list[str] = []
        self._said_before_call = 0
        self._model_calls = 0
        self._tokens = 0
        self._cost = 0.0
        self._mistakes = 0
        self._must_answer = False
        self._last = False
        self._model: str | None = None
        self._question: str | None = None
        self._error: VirtuousError | None = None

    def may_go_on(self) -> bool:
        """Whether there is another model call to make; notes the budget that forbids it."""
        if self._error or self._question or (self._model_calls and not self.calls):
            return False
        limit = next((limit for limit, share in self._shares().items() if share >= 1), None)
        if limit:
            self._error = self._used_up(limit)
        return limit is None

    def next_is_last(self) -> bool:
        """Whether the call that begins now must answer without tools; begins it."""
        self._model_calls += 1
        self._said_before_call = len(self._said)
        self._call_began = time.perf_counter()
        self.calls = ()
        self._last = (
            self._must_answer
            or self._model_calls >= self._budget.max_steps
            or max(self._shares().values()) >= _NEARLY_SPENT
        )
        return self._last

    async def next_event(self, stream: AsyncIterator[ModelEvent]) -> TextDelta | None:
        """The next piece of text, or None when the call is over, for better or worse."""
        try:
            while True:
                async with asyncio.timeout_at(self.deadline):
                    event = await anext(stream)
                if isinstance(event, TextDelta):
                    return self._heard(event)
                if isinstance(event, ToolCallsRequested):
                    # Without tools on offer a call is no answer, and nothing may be run.
                    self.calls = () if self._last else self.calling.told_apart(event.calls)
                else:
                    self._count(event)
        except StopAsyncIteration:
            if not self.calls and not self.text_of_call().strip():
                self._fail(self._no_answer())
        except TimeoutError:
            self._fail(self._used_up(f"the {self._budget.max_seconds:g} seconds"))
        except ModelError as error:
            self._fail(error)
        return None

    def text_of_call(self) -> str:
        """What the model said in its latest call."""
        return "".join(self._said[self._said_before_call :])

    def did(self, outcome: Outcome) -> None:
        """Records a tool call; after a second mistake the model must answer without tools."""
        self.steps.append(
            Step(
                position=len(self.steps),
                kind="tool",
                name=outcome.call.name,
                arguments=outcome.call.arguments,
                ok=outcome.problem is None,
                error=outcome.problem,
                duration_ms=outcome.duration_ms,
            )
        )
        self._question = self._question or outcome.question
        self._mistakes += outcome.mistaken
        self._must_answer = self._mistakes > 1

    def finished(self) -> AgentFinished:
        """The run's end. Raises AgentStopped when nothing was said or done."""
        if isinstance(self._error, ModelError) and not self._said and not self.calling.wrote:
            raise AgentStopped(self._error, tuple(self.steps)) from self._error
        models = [step for step in self.steps if step.kind == "model"]
        costs = [step.cost_usd for step in models if step.cost_usd is not None]
        return AgentFinished(
            reply="".join(self._said),
            steps=tuple(self.steps),
            model=self._model,
            input_tokens=_sum(step.input_tokens for step in models),
            output_tokens=_sum(step.output_tokens for step in models),
            cost_usd=sum(costs) if models and len(costs) == len(models) else None,
            duration_ms=_since(self._began),
            first_token_ms=self._first_token_ms,
            needs_person=self._question,
            error=self._error,
        )

    def _heard(self, delta: TextDelta) -> TextDelta:
        if self._first_token_ms is None:
            self._first_token_ms = _since(self._began)
        if self._said and len(self._said) == self._said_before_call:
            delta = TextDelta("\n\n" + delta.text)
        self._said.append(delta.text)
        return delta

    def _count(self, end: ModelFinished) -> None:
        self._model = end.model
        self.steps.append(
            Step(
                position=len(self.steps),
                kind="model",
                name=end.model,
                ok=True,
                duration_ms=end.duration_ms,
                input_tokens=end.input_tokens,
                output_tokens=end.output_tokens,
                cost_usd=end.cost_usd,
            )
        )
        if not self.calls:
            self._error = self._ended_early(end.finish_reason)
        guessed = len(self.text_of_call()) // _CHARACTERS_A_TOKEN
        output = guessed if end.output_tokens is None else end.output_tokens
        self._tokens += (end.input_tokens or 0) + output
        self._cost += end.cost_usd or 0.0

    def _fail(self, error: VirtuousError) -> None:
        self._error = error
        self.calls = ()
        self.steps.append(
            Step(
                position=len(self.steps),
                kind="model",
                name=self._definition.model,
                ok=False,
                error=str(error),
                duration_ms=_since(self._call_began),
            )
        )

    def _shares(self) -> dict[str, float]:
        """How much of each budget is spent, by the words for it; an unknown price counts as 0."""
        budget = self._budget
        shares = {
            f"the {budget.max_seconds:g} seconds": _since(self._began) / 1000 / budget.max_seconds,
            f"the {budget.max_tokens:,} tokens": self._tokens / budget.max_tokens,
        }
        if budget.max_cost_usd is not None:
            shares[f"the {budget.max_cost_usd:g} dollars"] = self._cost / budget.max_cost_usd
        return shares

    def _ended_early(self, reason: str | None) -> ModelAnswerCut | None:
        """What a person must know of an answer that is not whole although the model was done."""
        if reason == "content_filter":
            return ModelAnswerCut("The provider's content filter held the rest back.")
        if reason != "length":
            return None
        limit = self._definition.max_tokens
        most = f"{limit:,} tokens that '{self._definition.name}' may write" if limit else "most"
        return ModelAnswerCut(
            f"It reached the {most} in one answer. Ask for the rest, or for less at once."
        )

    def _no_answer(self) -> VirtuousError:
        if self._last and any(step.kind == "tool" for step in self.steps):
            return self._used_up(f"the {self._model_calls} model calls")
        return ModelAnswerEmpty("The model gave an empty answer. Ask again.")

    def _used_up(self, limit: str) -> BudgetExceeded:
        return BudgetExceeded(
            f"I stopped because this answer used up {limit} that the agent "
            f"'{self._definition.name}' may take. Ask for less at once, or have its budget raised."
        )


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _beside(turn: Turn, note: str) -> Turn:
    return replace(turn, text=f"{turn.text}\n\n({note})")


async def _close(stream: AsyncIterator[ModelEvent]) -> None:
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()
