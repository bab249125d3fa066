"""The one way to talk to a model."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from agents.model_settings import ModelSettings
from agents.turns import ModelEvent, ToolSpec, Turn

__all__ = ["ModelSettings", "Models"]


class Models:
    """The strong and the fast model of one provider, and any other that it has.

    Construct it once, in the process that answers: it imports langchain and openai.
    """

    def __init__(self, settings: ModelSettings) -> None:
        # these imports take about 2 s: here, so that `--help` and `doctor` start at once
        from agents.provider import Provider  # noqa: PLC0415

        self.settings = settings
        self._provider = Provider(settings)

    def resolve(self, model: str) -> str:
        """The provider's name of "strong", "fast" or a model named outright."""
        return {"strong": self.settings.strong, "fast": self.settings.fast}.get(model, model)

    def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncGenerator[ModelEvent, None]:
        """Text as it comes, tools asked for, and last what the call took.

        Closing the generator hangs up. Temperature None leaves it to the provider.

        Raises:
            ModelFailure: see `agents.errors`; retried only before the first token.
        """
        options = self._options(temperature, max_tokens)
        if tools:
            options["tools"] = [_function(tool) for tool in tools]
        return self._provider.stream(turns, self.resolve(model), options)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._provider.aclose()

    def _options(self, temperature: float | None, max_tokens: int | None) -> dict[str, Any]:
        limit = max_tokens or self.settings.answer_tokens
        options = {"temperature": temperature, "max_tokens": limit}
        return {name: value for name, value in options.items() if value is not None}


def _function(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": dict(tool.parameters),
        },
    }
