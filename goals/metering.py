"""What planning takes, whatever comes of it."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from database.goals import NOTHING, Spent
from goals.ports import Planner

Asked = TypeVar("Asked", bound=BaseModel)


class Metered:
    """A planner (goals.ports) that counts what asking it took."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.spent: Spent = NOTHING

    async def ask(
        self,
        instructions: str,
        request: str,
        schema: type[Asked],
        *,
        model: str = "strong",
        examples: Sequence[tuple[str, str]] = (),
    ) -> tuple[Asked, Spent]:
        """As the planner answers."""
        answer, spent = await self._planner.ask(
            instructions, request, schema, model=model, examples=examples
        )
        self.spent += spent
        return answer, spent
