"""What somebody is in this workspace: a member, a guest, from elsewhere, a bot; an admin or not."""

import time
from dataclasses import dataclass, field
from typing import Literal

import structlog
from cachetools import LRUCache, TTLCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.incoming import Json
from slack_interface.transport import TRANSPORT_ERRORS, code_of, in_words, is_slack, no_such_method

Standing = Literal["member", "guest", "stranger", "bot"]

MEMBER_TTL_S = 3600
"""A member can become a guest: look again after an hour at the latest."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Member:
    """One person (or bot) as users.info tells."""

    standing: Standing
    admin: bool = False
    display_name: str = ""
    first_name: str = ""
    time_zone: str = ""


_NOT_ONE_OF_US = frozenset({"user_not_found", "user_not_visible"})
"""Slack's words for somebody whom this workspace does not show to us."""


@dataclass(slots=True)
class Members:
    """Asked of Slack on first contact, then remembered for an hour.

    Slack can always say what somebody is, so that where it does not, nobody is a member. A server
    that is not Slack and has no users.info tells no guests from members: there all are members,
    and nobody is an admin. `team_id` and `enterprise_id` are ours.
    """

    client: AsyncWebClient
    team_id: str = ""
    enterprise_id: str = ""
    _fresh: TTLCache[str, Member] = field(
        default_factory=lambda: TTLCache(10_000, MEMBER_TTL_S, timer=time.monotonic)
    )
    _known: LRUCache[str, Member] = field(default_factory=lambda: LRUCache(10_000))
    _trouble: str = ""

    async def member(self, user_id: str) -> Member | None:
        """What somebody is, or last was where Slack is away; None where it never told."""
        found = self._fresh.get(user_id)
        if found is None:
            try:
                found = await self._asked(user_id)
            except TRANSPORT_ERRORS as error:
                self._trouble = code_of(error)
                log.warning("member_unknown", user=user_id, error=in_words(error))
                return self._known.get(user_id)
            self._fresh[user_id] = self._known[user_id] = found
        return found

    @property
    def not_allowed(self) -> bool:
        """Whether it is a scope that we lack where Slack does not tell of somebody."""
        return self._trouble == "missing_scope"

    async def _asked(self, user_id: str) -> Member:
        """What Slack says now. Raises TRANSPORT_ERRORS."""
        try:
            user = (await self.client.users_info(user=user_id)).get("user")
        except SlackApiError as error:
            if code_of(error) in _NOT_ONE_OF_US:
                return Member("stranger")
            if not no_such_method(error, self.client):
                raise
            user = None
        self._trouble = ""
        if isinstance(user, dict):
            return self.described(user)
        return Member("stranger" if is_slack(self.client.base_url) else "member")

    def described(self, user: Json) -> Member:
        """Somebody as a server describes them."""
        # Other servers may say anything of teams: they have no other organisations.
        ours = self.team_id if is_slack(self.client.base_url) else ""
        return member_of(user, ours, self.enterprise_id)

    def known_name(self, user_id: str) -> str:
        """How people call somebody, as far as known without asking, else ''."""
        known = self._known.get(user_id)
        return known.display_name if known else ""

    def sees_public(self, user_id: str) -> bool:
        """Whether somebody may read all public channels, as far as known without asking."""
        known = self._known.get(user_id)
        return known is None or known.standing == "member"


def member_of(user: Json, team_id: str = "", enterprise_id: str = "") -> Member:
    """What a user object says, seen from our workspace ('' where that is not to be looked at).

    Nobody but a full member is an admin here, whatever they are at home.
    """
    profile, name = user.get("profile") or {}, user.get("name") or ""
    foreign = bool(team_id) and _is_foreign(user, team_id, enterprise_id)
    standing = _standing(user, foreign)
    return Member(
        standing,
        standing == "member" and bool(user.get("is_admin") or user.get("is_owner")),
        profile.get("display_name") or user.get("real_name") or name,
        profile.get("first_name") or profile.get("display_name") or name,
        user.get("tz") or "",
    )


def _standing(user: Json, foreign: bool) -> Standing:
    if user.get("is_bot"):
        return "bot"
    if user.get("is_stranger") or foreign:
        return "stranger"
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return "guest"
    return "member"


def _is_foreign(user: Json, team_id: str, enterprise_id: str) -> bool:
    """Whether somebody is of another organisation: `is_stranger` does not say so of those with whom
    we share a channel. In an organisation people have one of its workspaces as their team.
    """
    organisation = user.get("enterprise_user") or {}
    if enterprise_id and organisation.get("enterprise_id") == enterprise_id:
        return False
    teams = {user.get("team_id"), *(organisation.get("teams") or ())} - {None, ""}
    return bool(teams) and team_id not in teams
