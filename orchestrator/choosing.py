"""Asking the fast model which of two agents a request is for."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field

from agents.turns import Turn
from database.errors import ModelError
from orchestrator.ports import ModelsPort
from orchestrator.routing import Candidate, Chooser

PATIENCE_SECONDS = 3.0
"""Longer than this, and the person waits for a choice rather than for an answer."""

log = structlog.get_logger()

_CHOOSING = "Choose the agent that should answer the request. Answer with its number."


class Choice(BaseModel):
    """The number of the chosen agent, from 1."""

    model_config = ConfigDict(extra="forbid")

    agent: Annotated[int, Field(ge=1, le=9)]


def fast_chooser(models: ModelsPort) -> Chooser:
    """A chooser that asks the fast model, and says None when it fails or takes too long."""

    async def choose(text: str, candidates: Sequence[Candidate]) -> str | None:
        offered = "\n".join(f"{n}. {c.specialty}" for n, c in enumerate(candidates, 1))
        turns = [
            Turn("system", _CHOOSING),
            Turn("user", f"Agents:\n{offered}\n\nRequest: {text[:1000]}"),
        ]
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                choice, _ = await models.structured(turns, Choice, model="fast", max_tokens=20)
        except (ModelError, TimeoutError) as error:
            log.info("routing_not_asked", problem=str(error) or "too slow")
            return None
        return candidates[choice.agent - 1].name if choice.agent <= len(candidates) else None

    return choose
