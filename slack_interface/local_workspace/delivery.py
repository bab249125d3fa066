"""Handing events and interactions to the app: three seconds, retries, trouble on purpose."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog

from slack_interface.local_workspace.activity_log import ActivityLog, Attempt
from slack_interface.local_workspace.clock import Clock
from slack_interface.local_workspace.config import Json, Limits
from slack_interface.local_workspace.errors import WorkspaceError
from slack_interface.local_workspace.faults import Faults

logger = structlog.get_logger(__name__)

ParcelType = Literal["events_api", "slash_commands", "interactive"]

REORDER_PATIENCE_S = 1.0
"""How long a reordered event waits for one to overtake it, in real seconds."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something for the app. `name` is the event type, the command or the interaction type.

    `team` is where it happened.
    """

    type: ParcelType
    name: str
    payload: Json
    accepts_response: bool = False
    team: str | None = None

    @property
    def event_id(self) -> str | None:
        """The id that every attempt of an event shares."""
        return self.payload.get("event_id")


@dataclass(frozen=True, slots=True)
class Reply:
    """The app acknowledged; `payload` is what it said with that (a view action, a text)."""

    payload: Json | None = None


class UndeliveredError(WorkspaceError):
    """The app did not acknowledge. `reason` is Slack's retry reason; `final` forbids a retry."""

    def __init__(self, outcome: str, reason: str, *, final: bool = False) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.reason = reason
        self.final = final


class Transport(Protocol):
    """A way to the app."""

    name: str

    def is_open(self) -> bool:
        """Whether an app can be reached this way now."""
        ...

    async def send(self, parcel: Parcel, attempt: Attempt, deadline_s: float, kill: bool) -> Reply:
        """Hand over once; the first step, before any await, fixes the order of parcels.

        `kill` breaks the connection right after. Raises UndeliveredError.
        """
        ...


class Delivery:
    """Sends parcels over Socket Mode or to the request URL, whichever the app uses."""

    def __init__(
        self, clock: Clock, limits: Limits, faults: Faults, log: ActivityLog, sockets: Transport
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._faults = faults
        self._log = log
        self._sockets = sockets
        self._held: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.push: Transport | None = None

    @property
    def transport(self) -> Transport:
        """The request URL when one is set, else Socket Mode."""
        return self.push or self._sockets

    def is_connected(self) -> bool:
        """Whether an app listens now."""
        return self.transport.is_open()

    def send_event(self, parcel: Parcel) -> None:
        """Deliver an event in the background, with Slack's retries."""
        self._start(self._deliver_event(parcel))
        if self._faults.strikes(self._faults.duplicate):
            self._start(self._deliver_twin(parcel))

    async def send_interaction(self, parcel: Parcel) -> Reply:
        """Deliver a command or an interaction: one attempt, the person is waiting.

        Raises UndeliveredError.
        """
        return await self._attempt(parcel, 0, None)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up on what is still being delivered."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drop_pending(self) -> None:
        """Forget events that wait for a retry (used by a reset)."""
        await self.close()

    async def _deliver_event(self, parcel: Parcel) -> None:
        reason: str | None = None
        for number, wait in enumerate((0.0, *self._limits.retry_after_s)):
            if wait:
                await self._clock.sleep(wait)
            try:
                await self._attempt(parcel, number, reason)
            except UndeliveredError as problem:
                reason = problem.reason
                if problem.final:
                    break
            else:
                return
        logger.warning("event_lost", name=parcel.name, event_id=parcel.event_id, reason=reason)

    async def _deliver_twin(self, parcel: Parcel) -> None:
        try:
            await self._attempt(parcel, 0, None)
        except UndeliveredError as problem:
            logger.debug("duplicate_undelivered", event_id=parcel.event_id, reason=problem.reason)

    async def _attempt(self, parcel: Parcel, number: int, reason: str | None) -> Reply:
        if self._faults.delay_ms:
            await asyncio.sleep(self._faults.delay_ms / 1000)
        if parcel.type == "events_api":
            await self._maybe_reorder()
        transport = self.transport
        attempt = Attempt(
            parcel.type,
            parcel.name,
            "",
            parcel.event_id,
            transport.name,
            number,
            reason,
            parcel.payload,
            team=parcel.team,
        )
        self._log.add(attempt)
        try:
            reply = await self._hand_over(transport, parcel, attempt)
        except UndeliveredError as problem:
            attempt.settle(problem.outcome)
            raise
        attempt.settle("acked")
        return reply

    async def _hand_over(self, transport: Transport, parcel: Parcel, attempt: Attempt) -> Reply:
        deadline = self._clock.deadline(self._limits.ack_s)
        if self._faults.strikes(self._faults.drop):
            await asyncio.sleep(deadline)
            raise UndeliveredError("dropped", "timeout")
        if not transport.is_open():
            raise UndeliveredError("no_connection", "connection_failed")
        kill = self._faults.strikes(self._faults.socket_kill)
        return await transport.send(parcel, attempt, deadline, kill)

    async def _maybe_reorder(self) -> None:
        if self._held is not None and not self._held.done():
            self._held.set_result(None)
            self._held = None
        elif self._faults.strikes(self._faults.reorder):
            self._held = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._held,), timeout=REORDER_PATIENCE_S)
