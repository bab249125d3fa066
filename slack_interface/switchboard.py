"""Between the transports and the desks: finds whose a request is, and opens a desk on first use."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import structlog
from slack_bolt.response import BoltResponse

from database.errors import VirtuousError
from slack_interface.departures import Farewell, farewells
from slack_interface.desk import Desk, Furnish
from slack_interface.incoming import Json
from slack_interface.installations import Account, Installations, origin_of
from slack_interface.payloads import UnreadableError, bolt_request, checked
from slack_interface.transport import TRANSPORT_ERRORS, in_words
from slack_interface.web_client import Identity, WorkspaceClient, identify

log = structlog.get_logger()

AGAIN_S = 30.0
"""A desk that could not be opened is tried again after this, when something comes for it."""

Take = Callable[[Json, Mapping[str, str]], Awaitable[BoltResponse]]
"""Hands on what Slack sent, with the headers that tell of a retry; 200 is an acknowledgement."""


class SentAwayError(VirtuousError):
    """Whoever let us in did not want us any more when the desk was about to be opened."""


@dataclass(slots=True)
class _Opened:
    """A desk with what has to be put away after it."""

    desk: Desk
    stack: AsyncExitStack


class Switchboard:
    """Every desk there is. A desk knows its own workspace only, so that nothing can leak."""

    def __init__(
        self,
        installations: Installations,
        furnish: Furnish,
        client_for: Callable[[Account], WorkspaceClient],
        sent_away: Callable[[Sequence[Farewell]], Awaitable[None]],
    ) -> None:
        self._installations = installations
        self._furnish = furnish
        self._client_for = client_for
        self._sent_away = sent_away
        self._opened: dict[str, _Opened] = {}
        self._troubles: dict[str, float] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def desks(self) -> list[Desk]:
        """Those that are open."""
        return [opened.desk for opened in self._opened.values()]

    async def take(self, payload: Json, headers: Mapping[str, str]) -> BoltResponse:
        """What Slack sent, to the desk of its workspace.

        400 where it cannot be read; 503 where that desk cannot be opened just now: Slack sends
        events again.
        """
        try:
            request = bolt_request(checked(payload), headers)
        except UnreadableError as error:
            log.warning("payload_refused", type=str(payload.get("type"))[:60], reason=str(error))
            return BoltResponse(status=400, body={"error": "malformed_payload"})
        if payload.get("type") == "url_verification":
            return BoltResponse(status=200, body={"challenge": str(payload.get("challenge"))})
        said = farewells(payload, self._installations)
        if said is not None:
            await self._sent_away(said)
            return BoltResponse(status=200)
        origin = origin_of(payload)
        account = self._installations.account(origin)
        if account is None:
            log.warning("from_nowhere", teams=origin.team_ids, enterprise=origin.enterprise_id)
            return BoltResponse(status=200)
        opened = self._opened.get(account.team_id)
        desk = opened.desk if opened else await self._open_again(account)
        if desk is None:
            return BoltResponse(status=503)
        return await desk.take(request)

    async def open(self, account: Account, identity: Identity | None = None) -> Desk:
        """The desk of a workspace, opened unless it is open; `identity` where Slack told already.

        Raises:
            TRANSPORT_ERRORS: Slack refuses the token, or cannot be reached.
            VirtuousError: the workspace's files cannot be used.
        """
        async with self._locks.setdefault(account.team_id, asyncio.Lock()):
            opened = self._opened.get(account.team_id)
            if opened is None:
                if not self._installations.lets_in(account):
                    raise SentAwayError(f"The app is not installed in {account.team_id} any more.")
                opened = await self._make(account, identity)
                self._opened[account.team_id] = opened
            self._troubles.pop(account.team_id, None)
            return opened.desk

    async def try_open(self, account: Account) -> Desk | None:
        """The same; a failure is a line in the log and a reason for not being ready."""
        try:
            return await self.open(account)
        except SentAwayError:
            return None
        except (*TRANSPORT_ERRORS, VirtuousError) as error:
            reason = str(error) if isinstance(error, VirtuousError) else in_words(error)
            self._note_trouble(account.team_id, reason)
            return None

    def renewed(self, account: Account) -> None:
        """A workspace's token is another one now."""
        if opened := self._opened.get(account.team_id):
            opened.desk.client.token = account.token
            opened.desk.installed_by(account.installer)

    async def check(self) -> None:
        """Ask Slack whether each desk is still welcome; who is not is named as not ready."""
        for team_id, opened in list(self._opened.items()):
            try:
                await identify(opened.desk.client)
            except TRANSPORT_ERRORS as error:
                if team_id in self._opened:
                    self._note_trouble(team_id, in_words(error))
            else:
                self._troubles.pop(team_id, None)

    async def close_one(self, team_id: str) -> None:
        """Close the desk of a workspace, if it is open; nothing is answered there any more."""
        async with self._locks.setdefault(team_id, asyncio.Lock()):
            self._troubles.pop(team_id, None)
            if opened := self._opened.pop(team_id, None):
                await _put_away(opened, 0.0)

    async def close(self, grace_s: float = 5.0) -> None:
        """Close every desk."""
        opened, self._opened = list(self._opened.values()), {}
        await asyncio.gather(*(_put_away(one, grace_s) for one in opened))

    async def idle(self) -> None:
        """Return when every desk is idle."""
        await asyncio.gather(*(desk.idle() for desk in self.desks))

    async def not_ready(self) -> list[str]:
        """Why some workspace cannot be answered right now, with its id."""
        reasons = [
            f"Slack does not let us into {team}; the log says why." for team in self._troubles
        ]
        for found in await asyncio.gather(*(desk.not_ready() for desk in self.desks)):
            reasons += [reason for reason in found if reason not in reasons]
        return reasons

    def _note_trouble(self, team_id: str, reason: str) -> None:
        log.error("desk_in_trouble", team=team_id, reason=reason)
        self._troubles[team_id] = time.monotonic()

    async def _open_again(self, account: Account) -> Desk | None:
        since = self._troubles.get(account.team_id)
        if since is not None and time.monotonic() - since < AGAIN_S:
            return None
        return await self.try_open(account)

    async def _make(self, account: Account, identity: Identity | None) -> _Opened:
        client = self._client_for(account)
        identity = identity or await identify(client)
        # An organisation's token belongs to no single workspace.
        identity = replace(identity, team_id=account.team_id)
        async with AsyncExitStack() as stack:
            backroom = await stack.enter_async_context(self._furnish(account.team_id))
            desk = Desk(identity, client, backroom, account.installer)
            stack.push_async_callback(desk.close, 0.0)
            await self._installations.serve(account)
            resumed = await desk.open()
            log.info("desk_opened", team=account.team_id, resumed=resumed)
            return _Opened(desk, stack.pop_all())


async def _put_away(opened: _Opened, grace_s: float) -> None:
    try:
        await opened.desk.close(grace_s)
    finally:
        await opened.stack.aclose()
