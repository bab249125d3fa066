"""Asking the fast model which of two agents a request is for."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field

from agents.turns import Turn
from database.errors import ModelError
from orchestrator.model_steps import failed_step, step_of
from orchestrator.ports import ModelsPort
from orchestrator.routing import Candidate, Chooser, Chosen

PATIENCE_SECONDS = 3.0
"""Longer than this, and the person waits for a choice rather than for an answer."""

log = structlog.get_logger()

_CHOOSING = "Choose the agent that should answer the request. Answer with its number."


class Choice(BaseModel):
    """The number of the chosen agent, from 1."""

    model_config = ConfigDict(extra="forbid")

    agent: Annotated[int, Field(ge=1, le=9)]


def fast_chooser(models: ModelsPort) -> Chooser:
    """A chooser that asks the fast model, and chooses none when it fails or takes too long."""

    async def choose(text: str, candidates: Sequence[Candidate]) -> Chosen:
        began = time.perf_counter()
        offered = "\n".join(f"{n}. {c.specialty}" for n, c in enumerate(candidates, 1))
        turns = [
            Turn("system", _CHOOSING),
            Turn("user", f"Agents:\n{offered}\n\nRequest: {text[:1000]}"),
        ]
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                choice, end = await models.structured(turns, Choice, model="fast", max_tokens=20)
        except (ModelError, TimeoutError) as error:
            problem = str(error) or "too slow"
            log.info("routing_not_asked", problem=problem)
            took = (time.perf_counter() - began) * 1000
            return Chosen(None, failed_step("routing", models.resolve("fast"), problem, took))
        number, step = choice.agent, step_of("routing", end)
        return Chosen(candidates[number - 1].name if number <= len(candidates) else None, step)

    return choose
