"""Calling Slack's Web API with one token, and asking it whose token that is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from database.errors import ConfigurationError
from slack_interface.transport import (
    TRANSPORT_ERRORS,
    UNKNOWN_METHOD,
    LenientResponse,
    code_of,
    no_such_method,
    retry_handlers,
)

REQUEST_TIMEOUT_S = 30
CONNECTIONS = 100
"""Open connections to Slack's API at once, over all workspaces."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are in a workspace (auth.test)."""

    team_id: str
    team_name: str
    bot_user_id: str
    bot_id: str = ""
    enterprise_id: str = ""


def session() -> aiohttp.ClientSession:
    """The connections that all clients of a process share."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        response_class=LenientResponse,
    )


Renew = Callable[[str], Awaitable[str]]
"""Gives the token that is good now for one that has expired. Raises TRANSPORT_ERRORS."""


class WorkspaceClient(AsyncWebClient):
    """A Web API client whose token may expire: then it asks for the next and calls once more."""

    renew: Renew | None = None
    _only_post = False

    async def api_call(self, api_method: str, **arguments: Any) -> AsyncSlackResponse:
        """Slack's answer. Raises TRANSPORT_ERRORS."""
        token = self.token or ""
        try:
            return await self._by_either_verb(api_method, arguments)
        except SlackApiError as error:
            if self.renew is None or code_of(error) != "token_expired":
                raise
        self.token = await self.renew(token)
        return await self._by_either_verb(api_method, arguments)

    async def _by_either_verb(self, method: str, arguments: dict[str, Any]) -> AsyncSlackResponse:
        """The SDK reads by GET; Slack takes a POST as well, and some servers take nothing else."""
        if arguments.get("http_verb") != "GET":
            return await super().api_call(method, **arguments)
        if not self._only_post:
            try:
                return await super().api_call(method, **arguments)
            except SlackApiError as error:
                if not no_such_method(error, self):
                    raise
        given = arguments.get("params") or {}
        form = {key: _in_form(value) for key, value in given.items() if value is not None}
        answer = await super().api_call(method, data=form)
        self._only_post = True
        return answer


def _in_form(value: object) -> str:
    return str(int(value) if isinstance(value, bool) else value)


def web_client(
    token: str | None, api_url: str, session: aiohttp.ClientSession, team_id: str | None = None
) -> WorkspaceClient:
    """A Web API client that waits as long as Slack says and tries server errors again.

    With the token of an organisation, `team_id` says for which of its workspaces every call is:
    some methods insist, and the others take no notice (docs.slack.dev, organization-ready apps).
    """
    return WorkspaceClient(
        token=token,
        base_url=api_url,
        session=session,
        team_id=team_id,
        retry_handlers=retry_handlers(),
    )


_NOT_SLACK = (
    "Slack's Web API is not at {url}: auth.test {what}. Check SLACK_API_URL, which usually ends in "
    "/api/, or leave it unset for Slack itself."
)


async def identify(client: AsyncWebClient) -> Identity:
    """Ask Slack who this token is.

    Raises:
        TRANSPORT_ERRORS: Slack refuses the token, or cannot be reached.
        ConfigurationError: what answers is not Slack.
    """
    answer = await client.auth_test()
    team_id, user_id = answer.get("team_id"), answer.get("user_id")
    if not (team_id and user_id):
        raise ConfigurationError(_NOT_SLACK.format(url=client.base_url, what="names nobody"))
    return Identity(
        str(team_id),
        answer.get("team") or "",
        str(user_id),
        answer.get("bot_id") or "",
        answer.get("enterprise_id") or "",
    )


async def identify_own(client: AsyncWebClient) -> Identity:
    """The same for SLACK_BOT_TOKEN. Raises ConfigurationError that says what to set."""
    try:
        return await identify(client)
    except SlackApiError as error:
        if code_of(error) == UNKNOWN_METHOD:
            what = "is not there"
            raise ConfigurationError(_NOT_SLACK.format(url=client.base_url, what=what)) from error
        raise ConfigurationError(
            f"Slack refuses SLACK_BOT_TOKEN ({code_of(error)}): copy it again from "
            "api.slack.com/apps, OAuth & Permissions."
        ) from error
    except TRANSPORT_ERRORS as error:
        raise ConfigurationError(
            f"{client.base_url} cannot be reached: check the network, or SLACK_API_URL."
        ) from error
