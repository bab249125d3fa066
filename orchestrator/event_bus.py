"""In-process events, so that learning and housekeeping never sit on the reply's path."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import structlog
from pyee.asyncio import AsyncIOEventEmitter

EventName = Literal[
    "run_recorded", "feedback_given", "document_changed", "proposal_moved", "finding_made"
]
"""They carry the Run, the Feedback, the Document, the Proposal and the Finding."""

Handler = Callable[[Any], Awaitable[None]]

log = structlog.get_logger()


class EventBus:
    """Announces what happened; each handler runs as a task of its own, after the announcer.

    A handler that fails is logged and hurts nobody else.
    """

    def __init__(self) -> None:
        self._emitter = AsyncIOEventEmitter()
        self._emitter.on("error", _ignore_twice_logged)

    def on(self, event: EventName, handler: Handler) -> None:
        """Call `handler` with the payload of every later `event`."""

        async def guarded(payload: Any) -> None:
            try:
                await handler(payload)
            except Exception:
                log.exception("event_handler_failed", event_name=event, handler=_name(handler))

        self._emitter.on(event, guarded)

    def emit(self, event: EventName, payload: Any) -> None:
        """Announce `event`; returns before any handler has run."""
        self._emitter.emit(event, payload)

    async def drain(self, timeout: float = 10.0) -> bool:
        """Wait until every handler is done, and those they announced; False if some had to stop.

        `timeout` is in seconds; handlers still running then are cancelled.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self._emitter.complete:
                    await self._emitter.wait_for_complete()
        except TimeoutError:
            self._emitter.cancel()
            return False
        return True


def _name(handler: Handler) -> str:
    return getattr(handler, "__qualname__", repr(handler))


def _ignore_twice_logged(error: Exception) -> None:
    """Pyee raises where nobody listens for `error`; the guard above has logged it already."""
