"""Where the app is installed, and the tokens that its installers gave it."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from slack_interface.local_workspace.clock import Clock
from slack_interface.local_workspace.config import Enterprise, Json, Limits, Team
from slack_interface.local_workspace.errors import SlackError

ACTIVE_TOKENS = 2
"""Rotating tokens of one installation that work at a time; a third ends the oldest
(docs.slack.dev, using token rotation)."""


@dataclass(eq=False, slots=True)
class Token:
    """A bot token. `ended` is the error that a call with it gets, once it is dead.

    `expires` is in workspace time. A rotating token has the `refresh` token that replaces it.
    """

    value: str
    installation: "Installation"
    expires: float | None = None
    refresh: str | None = None
    ended: str | None = None


@dataclass(eq=False, slots=True)
class Installation:
    """The app in one team (`team_id`), or in those of an organisation that were chosen."""

    team_id: str | None
    enterprise: Enterprise | None
    installer: str
    scopes: frozenset[str]
    team_ids: set[str]
    tokens: list[Token] = field(default_factory=list)

    @property
    def is_enterprise_install(self) -> bool:
        """Whether it is org-wide."""
        return self.team_id is None

    @property
    def is_alive(self) -> bool:
        """Whether a token is left; an expired one can be refreshed, so it counts."""
        return any(token.ended is None for token in self.tokens)

    @property
    def token(self) -> Token:
        """The newest token."""
        return self.tokens[-1]

    @property
    def scope(self) -> str:
        """The scopes as answers name them."""
        return ",".join(sorted(self.scopes))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person allowed, until the app exchanges its code. `team_id` None is org-wide."""

    team_id: str | None
    enterprise: Enterprise | None
    user: str
    scopes: frozenset[str]
    redirect_uri: str | None
    expires: float


class Installations:
    """All installations, tokens living and dead, and codes that wait to be exchanged."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._all: list[Installation] = []
        self._tokens: dict[str, Token] = {}
        self._refreshes: dict[str, Token] = {}
        self._grants: dict[str, Grant] = {}
        self.on_change: Callable[[], None] = lambda: None

    def clear(self) -> None:
        """Forget everything."""
        self._all.clear()
        for kept in (self._tokens, self._refreshes, self._grants):
            kept.clear()

    def of_team(self, team: Team) -> Installation | None:
        """The installation whose events and calls concern a team; org-wide goes first."""
        found = [i for i in self._all if i.is_alive and team.id in i.team_ids]
        found.sort(key=lambda installation: installation.is_enterprise_install)
        return found[-1] if found else None

    def of_enterprise(self, enterprise_id: str) -> Installation | None:
        """The org-wide installation of an organisation."""
        for found in self._all:
            is_it = found.enterprise is not None and found.enterprise.id == enterprise_id
            if is_it and found.is_enterprise_install and found.is_alive:
                return found
        return None

    def add(self, wanted: Installation) -> Installation:
        """Install, or add scopes to the same installation made before (Slack's are additive)."""
        for known in self._all:
            same = (known.team_id, known.enterprise) == (wanted.team_id, wanted.enterprise)
            if same and known.is_alive:
                known.scopes |= wanted.scopes
                known.team_ids |= wanted.team_ids
                known.installer = wanted.installer
                return known
        self._all.append(wanted)
        return wanted

    def allow(self, grant: Grant) -> str:
        """The code for what a person has allowed."""
        code = f"{secrets.randbits(40)}.{secrets.randbits(40)}.{secrets.token_hex(32)}"
        self._grants[code] = grant
        return code

    def take_grant(self, code: str) -> Grant:
        """What a code stands for; it works once, for ten minutes.

        Raises SlackError `invalid_code`.
        """
        grant = self._grants.pop(code, None)
        if grant is None or self._clock.now() > grant.expires:
            raise SlackError("invalid_code")
        return grant

    def give(self, installation: Installation, value: str | None = None) -> Token:
        """A token that does not expire: the one given before, as long as it lives."""
        for token in installation.tokens:
            if token.expires is None and token.ended is None:
                return token
        return self._keep(Token(value or f"xoxb-local-{secrets.token_hex(16)}", installation))

    def give_rotating(self, installation: Installation) -> Token:
        """A token for twelve hours with a refresh token; the oldest of three ends."""
        expires = self._clock.now() + self._limits.access_token_s
        access, refresh = (f"xoxe{x}{secrets.token_hex(32)}" for x in (".xoxb-1-", "-1-"))
        token = self._keep(Token(access, installation, expires, refresh))
        self._refreshes[refresh] = token
        working = [t for t in installation.tokens if t.expires is not None and self._works(t)]
        for old in working[:-ACTIVE_TOKENS]:
            self.end(old, "token_revoked")
        return token

    def refresh(self, value: str) -> Token:
        """The next token for a refresh token, which is spent by it.

        The access token that it came with works until it expires. Raises SlackError
        `invalid_refresh_token`.
        """
        old = self._refreshes.pop(value, None)
        if old is None:
            raise SlackError("invalid_refresh_token")
        old.refresh = None
        return self.give_rotating(old.installation)

    def exchange(self, value: str) -> Token:
        """A rotating token for one that does not expire; the old one ends.

        Raises SlackError `invalid_token`, `token_already_exchanged`, `authorization_not_found`.
        """
        old = self._tokens.get(value)
        if old is None or old.expires is not None:
            raise SlackError("invalid_token")
        if old.ended == "token_expired":
            raise SlackError("token_already_exchanged")
        if old.ended is not None:
            raise SlackError("authorization_not_found")
        new = self.give_rotating(old.installation)
        old.ended = "token_expired"
        return new

    def authenticate(self, value: str) -> Token:
        """The living token of this value.

        Raises SlackError `invalid_auth`, `token_expired`, `token_revoked`, `account_inactive`.
        """
        token = self._tokens.get(value)
        if token is None:
            raise SlackError("invalid_auth")
        if token.ended is not None:
            raise SlackError(token.ended)
        if not self._works(token):
            raise SlackError("token_expired")
        return token

    def kept(self) -> list[Json]:
        """All of it that a second start needs, as JSON; codes are not kept."""
        return [
            {
                "team_id": installation.team_id,
                "enterprise_id": installation.enterprise.id if installation.enterprise else None,
                "installer": installation.installer,
                "scopes": sorted(installation.scopes),
                "team_ids": sorted(installation.team_ids),
                "tokens": [
                    (t.value, self.seconds_left(t), t.refresh, t.ended) for t in installation.tokens
                ],
            }
            for installation in self._all
        ]

    def restore(self, kept: list[Json], enterprises: Mapping[str, Enterprise]) -> None:
        """Put back what `kept` gave, in place of what is here."""
        self.clear()
        for row in kept:
            installation = Installation(
                row["team_id"],
                enterprises.get(row["enterprise_id"]),
                row["installer"],
                frozenset(row["scopes"]),
                set(row["team_ids"]),
            )
            self._all.append(installation)
            for value, left, refresh, ended in row["tokens"]:
                expires = None if left is None else self._clock.now() + left
                token = self._keep(Token(value, installation, expires, refresh, ended))
                if refresh is not None:
                    self._refreshes[refresh] = token

    def seconds_left(self, token: Token) -> int | None:
        """How long a rotating token will work, in workspace seconds."""
        return None if token.expires is None else round(token.expires - self._clock.now())

    def end(self, token: Token, error: str) -> None:
        """A token dies, and its refresh token with it."""
        token.ended = error
        if token.refresh is not None:
            self._refreshes.pop(token.refresh, None)
            token.refresh = None
        self.on_change()

    def remove(self, installation: Installation) -> None:
        """The app is removed: every token of it dies. Slack says `account_inactive` of a bot's."""
        for token in installation.tokens:
            if token.ended is None:
                self.end(token, "account_inactive")

    def _works(self, token: Token) -> bool:
        is_over = token.expires is not None and self._clock.now() >= token.expires
        return token.ended is None and not is_over

    def _keep(self, token: Token) -> Token:
        token.installation.tokens.append(token)
        self._tokens[token.value] = token
        self.on_change()
        return token
