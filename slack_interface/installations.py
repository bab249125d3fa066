"""Who let us in: the workspaces that we may speak in, and with which token."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from database.installations import Installation
from slack_interface.incoming import Json

log = structlog.get_logger()


class Ledger(Protocol):
    """The rows on disk (database.installations)."""

    def clock(self) -> float:
        """Now, in seconds since 1970."""

    def installations(self) -> list[Installation]:
        """All of them."""

    def installation(self, holder: str) -> Installation | None:
        """One, as any process saved it last."""

    async def save(self, installation: Installation) -> None:
        """Add or replace."""

    def served(self) -> dict[str, str]:
        """The workspaces that an organisation's installation serves, each with the holder."""

    async def serve(self, workspace: str, holder: str) -> None:
        """Note that it serves this workspace."""

    async def depart(self, holder: str, *, sure: bool) -> None:
        """Note that they sent us away, or perhaps did."""

    def departures(self) -> dict[str, bool]:
        """Who sent us away and is not settled with, and whether that is sure."""

    async def stay(self, holder: str) -> None:
        """They did not send us away after all."""

    async def drop(self, holder: str) -> None:
        """Delete an installation, its tokens and its departure."""

    async def once(self, what: str, ttl: float) -> bool:
        """True for one caller only, over all processes, until `ttl` seconds have passed."""

    async def again(self, what: str) -> None:
        """The next caller may have its turn before that."""

    def seal(self, text: str) -> str:
        """Encrypted and signed; fit for an address."""

    def unseal(self, sealed: str, max_age: float) -> str | None:
        """The reverse; None where it is not ours or too old."""


@dataclass(frozen=True, slots=True)
class Account:
    """The way into one workspace.

    `holder` is whose installation it is: the workspace's own, or with `org` its organisation's;
    empty for the token of the environment.
    """

    team_id: str
    token: str = field(repr=False)
    holder: str = ""
    org: bool = False
    installer: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something that Slack sent belongs, as far as it says: `team_ids` best guess first."""

    team_ids: tuple[str, ...] = ()
    enterprise_id: str = ""


class Installations:
    """The index of accounts in memory; what is on disk is read by `load`.

    `alone`: nobody can install the app by OAuth, so that all that comes is the environment's
    workspace's, however it is named: Slack names it rightly, others who speak like Slack may not.
    """

    def __init__(self, ledger: Ledger, *, alone: bool = False) -> None:
        self._ledger = ledger
        self._alone = alone
        self._guessed = False
        self._began = ledger.clock()
        self._own: dict[str, Account] = {}
        self._installed: dict[str, Installation] = {}
        self._served: dict[str, str] = {}
        self._leaving: set[str] = set()

    def load(self) -> None:
        """Take over what this or another process has saved. Raises StoreError."""
        self._installed = {one.holder: one for one in self._ledger.installations()}
        self._served = self._ledger.served()
        self._leaving |= {holder for holder, sure in self._ledger.departures().items() if sure}

    def add_own(self, team_id: str, token: str) -> Account:
        """The workspace of the environment's token."""
        account = self._own[team_id] = Account(team_id, token)
        return account

    def learn(self, installation: Installation) -> None:
        """An installation is new, or has new tokens."""
        self._installed[installation.holder] = installation
        self._leaving.discard(installation.holder)

    async def serve(self, account: Account) -> None:
        """An organisation's installation is used in this workspace."""
        if account.org and self._served.get(account.team_id) != account.holder:
            self._served[account.team_id] = account.holder
            await self._ledger.serve(account.team_id, account.holder)

    def known_since(self, holder: str) -> float:
        """When the app was installed there as far as known, in seconds since 1970."""
        installation = self._installed.get(self._served.get(holder, holder))
        return installation.installed_at if installation else self._began

    def lets_in(self, account: Account) -> bool:
        """Whether an account that was found before still holds."""
        if {account.team_id, account.holder} & self._leaving:
            return False
        return account.holder in self._installed or account.team_id in self._own

    def serves(self, team_id: object) -> bool:
        """Whether this is a workspace that an organisation's installation is used in."""
        return team_id in self._served

    def heir(self, holder: str) -> Account | None:
        """The organisation's installation that may serve a workspace after its own has ended."""
        own = self._installed.get(holder)
        whole = self._installed.get(own.enterprise_id) if own and not own.org else None
        return _account_of(whole, holder) if whole and whole.org else None

    def leave(self, holder: str) -> list[str]:
        """Nothing of theirs is for us any more; the workspaces that this is about."""
        self._leaving.add(holder)
        installation = self._installed.get(holder)
        if installation is None or not installation.org:
            return [holder]
        return [team for team, by in self._served.items() if by == holder]

    def drop(self, holder: str) -> None:
        """Nothing is kept of them any more; they may begin anew."""
        self._installed.pop(holder, None)
        self._own.pop(holder, None)
        self._served = {team: by for team, by in self._served.items() if holder not in (team, by)}
        self._leaving.discard(holder)

    def installed(self) -> list[Installation]:
        """Everything that was installed by OAuth."""
        return list(self._installed.values())

    def accounts(self) -> Iterator[Account]:
        """Every workspace that is known to have us, each once."""
        teams = [one.holder for one in self._installed.values() if not one.org]
        for team_id in dict.fromkeys([*teams, *self._own, *self._served]):
            if account := self._account(team_id):
                yield account

    def account(self, origin: Origin) -> Account | None:
        """The workspace that something belongs to; None where we were never let in."""
        return self._named(origin) or self._only(origin)

    def _named(self, origin: Origin) -> Account | None:
        for team_id in origin.team_ids:
            if found := self._account(team_id):
                return found
        whole = self._whole(origin)
        return _account_of(whole, origin.team_ids[0]) if whole and origin.team_ids else None

    def _only(self, origin: Origin) -> Account | None:
        """The one workspace there is, for what names none or cannot be of any other."""
        known = list(self.accounts())
        unnamed = not origin.team_ids and not origin.enterprise_id
        if len(known) != 1 or not (unnamed or self._alone):
            return None
        if not self._guessed:
            self._guessed = True
            log.debug("taken_for_ours", named=origin.team_ids, ours=known[0].team_id)
        return known[0]

    def holder(self, origin: Origin) -> str:
        """Whose installation something is about that is about no single workspace; '' for none."""
        whole = self._whole(origin)
        if whole and not any(team in self._installed for team in origin.team_ids):
            return whole.holder
        account = self._named(origin)
        return (account.holder or account.team_id) if account else ""

    def _whole(self, origin: Origin) -> Installation | None:
        """The installation of the organisation that something is from."""
        found = self._installed.get(origin.enterprise_id)
        return found if found and found.org and found.holder not in self._leaving else None

    def _account(self, team_id: str) -> Account | None:
        """The environment's token comes first: whoever runs us chose it."""
        whole = self._installed.get(self._served.get(team_id, ""))
        if team_id in self._leaving or (whole and whole.holder in self._leaving):
            return None
        if own := self._own.get(team_id):
            return own
        if installed := self._installed.get(team_id) or whole:
            return _account_of(installed, team_id)
        return None


def _account_of(installation: Installation, team_id: str) -> Account:
    return Account(
        team_id,
        installation.bot_token,
        installation.holder,
        installation.org,
        installation.installer,
    )


def origin_of(payload: Json) -> Origin:
    """Where a payload of any kind belongs.

    In a channel that is shared with others the sender's team is not ours: what Slack says of the
    installation (`authorizations`, `app_installed_team_id`) comes before what it says of people.
    """
    authorized = _first(payload.get("authorizations"))
    view, team = _part(payload, "view"), payload.get("team")
    guesses = (
        view.get("app_installed_team_id"),
        authorized.get("team_id"),
        payload.get("context_team_id"),
        team if isinstance(team, str) else _part(payload, "team").get("id"),
        payload.get("team_id"),
        _part(payload, "message").get("team"),
        view.get("team_id"),
        _part(payload, "user").get("team_id"),
    )
    enterprises = (
        authorized.get("enterprise_id"),
        _part(payload, "enterprise").get("id"),
        payload.get("context_enterprise_id"),
        payload.get("enterprise_id"),
        _part(payload, "team").get("enterprise_id"),
    )
    teams = dict.fromkeys(str(guess) for guess in guesses if guess)
    # With an organisation's token Slack sometimes names the organisation where a team is due.
    return Origin(
        tuple(team for team in teams if not team.startswith("E")),
        next((str(found) for found in enterprises if found), ""),
    )


def _part(payload: Json, name: str) -> Json:
    part = payload.get(name)
    return part if isinstance(part, dict) else {}


def _first(parts: object) -> Json:
    if isinstance(parts, list) and parts and isinstance(parts[0], dict):
        return dict(parts[0])
    return {}
