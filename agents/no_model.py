"""What answers where there is no model: it says what to do to get one."""

from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from pydantic import BaseModel

from agents.errors import ModelUnavailable
from agents.turns import ModelEvent, ModelFinished, ToolSpec, Turn

Answered = TypeVar("Answered", bound=BaseModel)


class NoModel:
    """Stands where a model would: says what to do to get one."""

    _WHAT_TO_DO = (
        "The demo runs without a model. Start it without `--model none`, or set OPENAI_API_KEY."
    )

    def resolve(self, model: str) -> str:
        """A name for what is not there."""
        return "none"

    async def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncIterator[ModelEvent]:
        """Raises ModelUnavailable."""
        raise ModelUnavailable(self._WHAT_TO_DO)
        yield  # makes it the generator that it stands for

    async def structured(
        self,
        turns: Sequence[Turn],
        schema: type[Answered],
        *,
        model: str = "strong",
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
    ) -> tuple[Answered, ModelFinished]:
        """Raises ModelUnavailable."""
        raise ModelUnavailable(self._WHAT_TO_DO)
