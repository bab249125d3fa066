"""What the orchestrator needs of the models; agents/models.py has it, bootstrap wires it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel

from agents.ports import ToolContext
from agents.turns import ModelFinished, Turn
from agents.universal_agent import ModelPort

Answered = TypeVar("Answered", bound=BaseModel)


class ModelsPort(ModelPort, Protocol):
    """The strong and the fast model: what an agent's loop needs, names and answers of a shape."""

    def resolve(self, model: str) -> str:
        """The real name behind `strong`, `fast` or a real name."""

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


class Watch(Protocol):
    """What makes candidates answer unseen (orchestrator.trials.shadow); memory only."""

    def asked(
        self, run_id: str, trials: Sequence[str], turns: Sequence[Turn], context: ToolContext
    ) -> None:
        """These trials' candidates are to answer the same, once the run is recorded."""

    def make_way(self) -> None:
        """A person waits for an answer; `go_on` once they have it."""

    def go_on(self) -> None:
        """That person has the answer."""
