"""Being sent away: the desk closes, and all that was kept of the workspace is deleted."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from database.errors import VirtuousError
from slack_interface.incoming import Json
from slack_interface.installations import Account, Installations, Ledger, origin_of
from slack_interface.transport import TRANSPORT_ERRORS, code_of, in_words
from slack_interface.web_client import identify

log = structlog.get_logger()

_DEAD = frozenset(
    {"account_inactive", "token_revoked", "invalid_auth", "not_authed", "invalid_refresh_token"}
)
"""What Slack says of a token that will never be good again."""

_KINDS = frozenset({"app_uninstalled", "tokens_revoked", "team_access_revoked"})
_LATEST_S = 2 * 86_400.0

Erase = Callable[[str], Awaitable[Mapping[str, int]]]
"""Deletes all that is kept of the workspace with this id; how many rows, by table."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """Somebody sent us away; unless `sure`, only if Slack does not take their token any more."""

    holder: str
    sure: bool


def farewells(payload: Json, installations: Installations) -> list[Farewell] | None:
    """What an event says of this; None for an event that says nothing of it.

    That the app was removed is sure, unless the event is late and the app installed since. That a
    bot's token was revoked is not: it may be a former one.
    """
    event = payload.get("event")
    kind = event.get("type") if isinstance(event, dict) else None
    if payload.get("type") != "event_callback" or not isinstance(event, dict) or kind not in _KINDS:
        return None
    if kind == "team_access_revoked":
        holders = [str(team) for team in event.get("team_ids") or () if installations.serves(team)]
    else:
        tokens = event.get("tokens")
        about_us = kind != "tokens_revoked" or (isinstance(tokens, dict) and tokens.get("bot"))
        holders = [installations.holder(origin_of(payload))] if about_us else []
    told = payload.get("event_time")
    return [
        Farewell(holder, kind != "tokens_revoked" and not _late(told, holder, installations))
        for holder in holders
        if holder
    ]


def _late(told: object, holder: str, installations: Installations) -> bool:
    """Whether an event is of a time before the app was installed there.

    Slack gives up on an event after a day; what claims to be older still has no true time.
    """
    since = installations.known_since(holder)
    return isinstance(told, int | float) and since - _LATEST_S < told < since


@dataclass(slots=True)
class Departures:
    """Settles with those who sent us away: a workspace, an organisation, or one workspace of it.

    That they did is on disk before Slack hears that we know, and is taken off when all is deleted:
    a process that ends meanwhile goes on with its next start.
    """

    ledger: Ledger
    installations: Installations
    client_for: Callable[[Account], AsyncWebClient]
    close_desk: Callable[[str], Awaitable[None]]
    erase: Erase

    async def note(self, farewell: Farewell) -> None:
        """On disk when this returns. Raises StoreError."""
        await self.ledger.depart(farewell.holder, sure=farewell.sure)

    async def settle_all(self) -> None:
        """Settle with everybody; who cannot be settled with now stays noted."""
        for holder, sure in self.ledger.departures().items():
            try:
                await self._settle(Farewell(holder, sure))
            except (*TRANSPORT_ERRORS, VirtuousError) as error:
                log.error("departure_not_settled", holder=holder, reason=in_words(error))

    async def _settle(self, farewell: Farewell) -> None:
        holder = farewell.holder
        if not farewell.sure and await self._still_wanted(holder):
            log.warning("not_sent_away", holder=holder, reason="Slack still takes the token")
            await self.ledger.stay(holder)
            return
        if await self._inherited(holder):
            return
        teams = self.installations.leave(holder)
        for team_id in teams:
            await self.close_desk(team_id)
            deleted = await self.erase(team_id)
            log.warning("workspace_erased", team=team_id, **deleted)
        await self.ledger.drop(holder)
        self.installations.drop(holder)
        log.warning("sent_away", holder=holder, teams=teams)

    async def _inherited(self, holder: str) -> bool:
        """Whether the organisation has the app too: then only the workspace's own token ended."""
        heir = self.installations.heir(holder)
        if heir is None or holder not in await _granted(self.client_for(heir)):
            return False
        await self.close_desk(holder)
        await self.ledger.drop(holder)
        self.installations.drop(holder)
        await self.installations.serve(heir)
        log.info("served_by_organisation", team=holder, organisation=heir.holder)
        return True

    async def _still_wanted(self, holder: str) -> bool:
        account = next((one for one in self.installations.accounts() if _is_of(one, holder)), None)
        if account is None:
            return False
        client = self.client_for(account)
        try:
            if account.org and holder == account.team_id:
                return holder in await _granted(client)
            await identify(client)
        except TRANSPORT_ERRORS as error:
            if code_of(error) not in _DEAD:
                raise
            return False
        return True


def _is_of(account: Account, holder: str) -> bool:
    return holder in (account.holder, account.team_id)


async def _granted(client: AsyncWebClient) -> set[str]:
    """The workspaces of its organisation that a token may act in. Raises TRANSPORT_ERRORS."""
    found: set[str] = set()
    cursor = ""
    while True:
        page = await client.auth_teams_list(cursor=cursor or None, limit=200)
        found.update(str(team["id"]) for team in page["teams"])
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return found
