"""Tokens that expire: exchanged well before, by one process, and saved before they are used."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from database.errors import StoreError
from database.installations import Installation
from slack_interface.installations import Installations, Ledger
from slack_interface.transport import TRANSPORT_ERRORS, in_words

log = structlog.get_logger()

EARLY_S = 2 * 3600.0
"""Tokens live for twelve hours (docs.slack.dev, using token rotation)."""
EXCHANGE_S = 60.0
"""No other process exchanges the same token within this; an exchange takes about one second."""
LOOK_S = 0.2


class RenewalError(OSError):
    """There is no new token just now; a later attempt may get one."""


@dataclass(slots=True)
class Renewals:
    """Exchanges refresh tokens. `renewed` hears of every new token, whichever process got it."""

    ledger: Ledger
    installations: Installations
    client_id: str
    client_secret: str
    web: Callable[[], AsyncWebClient]
    renewed: Callable[[Installation], None]
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    _unsaved: dict[str, Installation] = field(default_factory=dict)

    async def check(self) -> None:
        """Exchange what expires soon, and take over what another process has exchanged."""
        for one in self.installations.installed():
            if one.expires_at is None and one.holder not in self._unsaved:
                continue
            try:
                await self._up_to_date(one.holder)
            except (*TRANSPORT_ERRORS, StoreError) as error:
                log.error("token_not_renewed", holder=one.holder, reason=in_words(error))

    async def renew(self, holder: str, expired: str) -> str:
        """The token that is good now.

        Raises:
            SlackApiError: Slack refuses the refresh token. RenewalError: not now.
        """
        try:
            return (await self._up_to_date(holder, expired)).bot_token
        except StoreError as error:
            raise RenewalError(str(error)) from error

    def replaced(self, holder: str) -> None:
        """Somebody installed the app again, which gave other tokens."""
        self._unsaved.pop(holder, None)

    async def _up_to_date(self, holder: str, expired: str = "") -> Installation:
        async with self._locks.setdefault(holder, asyncio.Lock()):
            await self._save_again(holder)
            found = self._latest(holder)
            if not self._is_due(found, expired):
                self._tell(found)
                return found
            if not await self.ledger.once(f"renew:{holder}", EXCHANGE_S):
                return await self._from_other_process(holder, expired)
            try:
                found = self._latest(holder)
                if self._is_due(found, expired):
                    found = await self._exchanged(found)
                self._tell(found)
                return found
            finally:
                await self.ledger.again(f"renew:{holder}")

    def _is_due(self, found: Installation, expired: str) -> bool:
        if not found.refresh_token:
            return False
        soon = self.ledger.clock() + EARLY_S
        return found.bot_token == expired or (found.expires_at or soon + 1) < soon

    async def _exchanged(self, old: Installation) -> Installation:
        answer = await self.web().oauth_v2_access(
            client_id=self.client_id,
            client_secret=self.client_secret,
            grant_type="refresh_token",
            refresh_token=old.refresh_token,
        )
        new = replace(
            old,
            bot_token=str(answer["access_token"]),
            refresh_token=str(answer.get("refresh_token") or ""),
            expires_at=self.ledger.clock() + float(answer["expires_in"]),
        )
        try:
            await self.ledger.save(new)
        except StoreError as error:
            # Slack takes the old refresh token no more: this one is all there is.
            self._unsaved[new.holder] = new
            log.error("token_not_saved", holder=new.holder, reason=str(error))
        log.info("token_renewed", holder=new.holder)
        return new

    async def _save_again(self, holder: str) -> None:
        if unsaved := self._unsaved.get(holder):
            with contextlib.suppress(StoreError):
                await self.ledger.save(unsaved)
                self._unsaved.pop(holder, None)

    async def _from_other_process(self, holder: str, expired: str) -> Installation:
        """What the process that is exchanging the token will have saved in a moment."""
        for _ in range(int(EXCHANGE_S / LOOK_S / 10)):
            found = self._latest(holder)
            if not self._is_due(found, expired):
                self._tell(found)
                return found
            await asyncio.sleep(LOOK_S)
        raise RenewalError("Another process is exchanging the token: try again in a minute.")

    def _latest(self, holder: str) -> Installation:
        found = self._unsaved.get(holder) or self.ledger.installation(holder)
        if found is None:
            raise RenewalError("The app is not installed there any more.")
        return found

    def _tell(self, found: Installation) -> None:
        self.installations.learn(found)
        self.renewed(found)
