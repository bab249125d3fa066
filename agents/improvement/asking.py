"""Asking an agent the questions of an exam while nobody waits: how learners try what they made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agents.definition import AgentDefinition
from agents.ports import FileRef, ToolContext
from agents.tools import CATALOGUE
from agents.tools.base import Tool
from agents.turns import Turn
from agents.universal_agent import AgentFinished, ModelPort, UniversalAgent
from database.errors import UnknownName
from database.records import Message, Reader


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks a definition through the agents' own loop, with tools that only read."""

    models: ModelPort
    tools: Mapping[str, Tool] = field(default_factory=lambda: CATALOGUE)

    async def ask(self, definition: AgentDefinition, request: str) -> str:
        """One answer, as to nobody; '' where it failed after it had begun.

        Raises AgentStopped when the model is away, and what `models` raises when learning may
        spend no more.
        """
        reading = {name: tool for name, tool in self.tools.items() if tool.effect == "read"}
        agent = UniversalAgent(definition, self.models, reading)
        async for event in agent.run([Turn("user", request)], nobody()):
            if isinstance(event, AgentFinished):
                return "" if event.error else event.reply.strip()
        raise AssertionError("a run ends with AgentFinished or raises")


def nobody() -> ToolContext:
    """A place without people, messages, files and workflows."""
    nothing = _Nothing()
    return ToolContext(
        user_id="",
        channel_id="",
        thread_ts="",
        reader=Reader(""),
        now=datetime.now(UTC),
        recall=nothing,
        files=nothing,
        workflows=nothing,
    )


class _Nothing:
    """No messages, files or workflows."""

    async def search_messages(
        self, words: str, reader: Reader, limit: int = 10
    ) -> Sequence[Message]:
        return ()

    def files(self) -> Sequence[FileRef]:
        return ()

    async def read(self, file_id: str) -> bytes:
        raise UnknownName("No files are shared here.")

    async def names(self, reader: Reader) -> Sequence[str]:
        return ()

    async def named_in(self, text: str, reader: Reader) -> Sequence[str]:
        return ()

    async def run_inline(self, name: str, inputs: Mapping[str, str], reader: Reader) -> str:
        raise UnknownName("There are no workflows here.")
