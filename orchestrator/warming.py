"""What the embedded model reads before anybody asks, so that the first answer need not wait."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import structlog

from agents.ports import ToolContext
from agents.turns import Turn
from agents.universal_agent import UniversalAgent
from database.errors import ModelError
from database.records import Message, Reader
from orchestrator.resource_pool import in_background
from orchestrator.workflows import NoFiles, NoWorkflows

log = structlog.get_logger()

_GREETING = "Hello"
"""Anything: what counts is what stands before it, which the model keeps."""


class WarmUp:
    """Has one agent's prompts read in the background, until the first person asks for something.

    What was read by then stays in the model's cache, and the answer goes on from there.
    """

    def __init__(self, agent: UniversalAgent) -> None:
        self._agent = agent
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin; the task ends when all is read. Nothing is answered, recorded or counted."""
        self._task = asyncio.create_task(self._read())
        return self._task

    def stop(self) -> None:
        """Make way (about a microsecond); once is enough, more does no harm."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _read(self) -> None:
        try:
            with in_background():
                events = self._agent.run([Turn("user", _GREETING)], _nobody())
                async with aclosing(events):
                    await anext(events, None)
        except ModelError as error:
            log.info("warm_up_failed", reason=str(error))


def _nobody() -> ToolContext:
    return ToolContext(
        user_id="",
        channel_id="",
        thread_ts="",
        reader=Reader(""),
        now=datetime.now(UTC),
        recall=_NoMessages(),
        files=NoFiles(),
        workflows=NoWorkflows(),
    )


class _NoMessages:
    """Nothing is remembered here."""

    async def search_messages(
        self, words: str, reader: Reader, limit: int = 10
    ) -> Sequence[Message]:
        return ()
