"""What the orchestrator needs of the models; agents/models.py has it, bootstrap wires it."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel

from agents.turns import ModelEvent, ModelFinished, ToolSpec, Turn

Answered = TypeVar("Answered", bound=BaseModel)


class ModelsPort(Protocol):
    """The strong and the fast model."""

    def resolve(self, model: str) -> str:
        """The real name behind `strong`, `fast` or a real name."""

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

    async def structured(
        self,
        turns: Sequence[Turn],
        schema: type[Answered],
        *,
        model: str = "strong",
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
    ) -> tuple[Answered, ModelFinished]:
        """An answer of the given shape. Raises ModelError."""
