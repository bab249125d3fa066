"""Answers that nobody sees: a candidate's, or an examinee's, and the runs that they become."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from agents.definition import AgentDefinition
from agents.errors import AWAY
from agents.ports import ToolContext
from agents.turns import Turn
from agents.universal_agent import AgentFinished, AgentStopped, UniversalAgent
from database.records import Run, RunKind, Step

Build = Callable[[AgentDefinition], UniversalAgent]
"""Makes an agent whose model calls are learning's own: after every reply, within its budget."""

Redact = Callable[[Run], Run]


@dataclass(frozen=True, slots=True)
class Unseen:
    """An answer that nobody saw; `error` says why it is missing or incomplete."""

    finished: AgentFinished
    started_at: float
    error: str | None = None

    @property
    def reply(self) -> str:
        """What was said; '' where there is no whole answer."""
        return "" if self.error else self.finished.reply.strip()

    def as_run(
        self,
        run_id: str,
        kind: RunKind,
        parent: Run,
        definition: AgentDefinition,
        route: Mapping[str, Any],
    ) -> Run:
        """The run that is kept of it, for those who may read its parent."""
        end = self.finished
        return Run(
            run_id=run_id,
            request=parent.request,
            agent=definition.name,
            kind=kind,
            parent_run_id=parent.run_id,
            started_at=self.started_at,
            duration_ms=end.duration_ms,
            first_token_ms=end.first_token_ms,
            user_id=parent.user_id,
            channel_id=parent.channel_id,
            thread_ts=parent.thread_ts,
            audience=parent.audience,
            task_type=parent.task_type,
            agent_version=definition.version,
            model=end.model,
            reply=end.reply.strip() or None,
            error=self.error,
            route=dict(route),
            input_tokens=end.input_tokens,
            output_tokens=end.output_tokens,
            cost_usd=end.cost_usd,
            steps=end.steps,
        )


async def answer_unseen(
    agent: UniversalAgent, turns: Sequence[Turn], context: ToolContext
) -> Unseen:
    """The whole answer of an agent, or why there is none.

    Raises what its models raise beside ModelError, and also the errors of a model that is away
    (agents.errors.AWAY): these say nothing of the agent.
    """
    started_at, began = time.time(), time.perf_counter()
    try:
        async with aclosing(agent.run(turns, context)) as events:
            ends = [event async for event in events if isinstance(event, AgentFinished)]
    except AgentStopped as stopped:
        if isinstance(stopped.cause, AWAY):
            raise stopped.cause from None
        took = (time.perf_counter() - began) * 1000
        end = AgentFinished("", stopped.steps, duration_ms=took)
        return Unseen(end, started_at, f"{type(stopped.cause).__name__}: {stopped.cause}")
    error = ends[-1].error
    if isinstance(error, AWAY):
        raise error
    return Unseen(ends[-1], started_at, f"{type(error).__name__}: {error}" if error else None)


def worked_ms(steps: Sequence[Step]) -> float | None:
    """How long the model calls took by themselves, without waiting for their turn.

    Tools are left out: what is recorded takes no time.
    """
    times = [s.duration_ms for s in steps if s.kind == "model" and s.duration_ms is not None]
    return sum(times) if times else None
