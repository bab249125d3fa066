"""How calls to Slack fail, and which of them may simply be made again."""

from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState
from slack_sdk.web.async_client import AsyncWebClient

TRANSPORT_ERRORS = (SlackClientError, aiohttp.ClientError, OSError)
"""Every way a call to Slack fails; a timeout is an OSError."""

ADDING = frozenset({"chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage"})
"""Each call adds something: not made again before it is known what became of the first."""

UNKNOWN_METHOD = "unknown_method"
"""Slack's word for a method that it does not have. Servers of somebody else's say so by an HTTP
404, 405 or 501, or with a page of theirs."""

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
_NO_SUCH_PAGE = frozenset({404, 405, 501})
_OF_THE_FORM = frozenset(
    {
        "msg_blocks_too_long",
        "invalid_arguments",
        "invalid_arg_name",
        "invalid_array_arg",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_too_large",
    }
)
_PERHAPS_DONE = frozenset({"internal_error", "fatal_error", "service_unavailable"})
"""Slack: "It's possible some aspect of the operation succeeded before the error was raised"."""
_PASSING = _PERHAPS_DONE | {"ratelimited", "request_timeout"}
_QUICK_RETRIES = 3
_PATIENT_RETRIES = 95
"""Slack says how long to wait; the client itself gives up after a hundred calls."""


def in_words(error: Exception) -> str:
    """Slack's own code for the error, or its type and text."""
    return code_of(error) or f"{type(error).__name__}: {error}"


def code_of(error: Exception) -> str:
    """Slack's own code for the error; '' where it gave none."""
    if not isinstance(error, SlackApiError):
        return ""
    data = _data(error)
    if code := str(data.get("error") or ""):
        return code
    page_instead = not data and _status(error) == 200 and not is_slack(_address(error))
    return UNKNOWN_METHOD if page_instead or _status(error) in _NO_SUCH_PAGE else ""


def refuses_form(error: Exception) -> bool:
    """Whether plain words would be taken where blocks and what comes with them are not."""
    code = code_of(error)
    return code in _OF_THE_FORM or "_blocks" in code or "_block_" in code


def is_slack(url: str) -> bool:
    """Whether an address is Slack's own, or a server of somebody else's that speaks like it."""
    host = urlsplit(url).hostname or ""
    return host.endswith((".slack.com", ".slack-gov.com")) or host in ("slack.com", "slack-gov.com")


def is_the_servers(url: str, api_url: str) -> bool:
    """Whether an address that came with a payload is where the API is, or Slack's own.

    Only there is anything sent: neither the bot's token nor an answer goes elsewhere.
    """
    target, api = urlsplit(url), urlsplit(api_url)
    if (target.scheme, target.netloc) == (api.scheme, api.netloc):
        return True
    if {api.hostname, target.hostname} <= _THIS_MACHINE:  # parts with ports of their own
        return target.scheme in ("http", "https")
    return target.scheme == "https" and is_slack(url)


def retry_after(error: SlackApiError) -> float:
    """Seconds until Slack takes such a call again."""
    headers = getattr(error.response, "headers", None) or {}
    try:
        return float(headers.get("Retry-After") or 1)
    except ValueError:
        return 1.0


def no_such_method(error: Exception, client: AsyncWebClient) -> bool:
    """Whether the server is not Slack and does not have what was called."""
    return code_of(error) == UNKNOWN_METHOD and not is_slack(client.base_url)


def perhaps_done(error: Exception) -> bool:
    """Whether Slack may have done what it was asked although the call failed."""
    if isinstance(error, SlackApiError):
        code, status = code_of(error), _status(error)
        if not code:
            return _data(error).get("ok") is not False and not 400 <= status < 500
        return code in _PERHAPS_DONE or (status >= 500 and code != UNKNOWN_METHOD)
    if isinstance(error, SlackClientError):
        return False
    return not isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL)


def passes(error: Exception) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, SlackApiError):
        return perhaps_done(error) or code_of(error) in _PASSING or _status(error) == 429
    return not isinstance(error, SlackClientError | aiohttp.InvalidURL)


def retry_handlers() -> list[AsyncRetryHandler]:
    """For a Web API client: waits as long as Slack says, and repeats what may be repeated."""
    return [
        _ConnectionErrors(_QUICK_RETRIES),
        _RateLimits(_PATIENT_RETRIES),
        _ServerErrors(_QUICK_RETRIES),
    ]


def _data(error: SlackApiError) -> dict[str, Any]:
    data = getattr(error.response, "data", None)
    return data if isinstance(data, dict) else {}


def _status(error: SlackApiError) -> int:
    response = error.response
    return int(getattr(response, "status_code", None) or getattr(response, "status", None) or 0)


def _address(error: SlackApiError) -> str:
    response = error.response
    return str(getattr(response, "api_url", None) or getattr(response, "url", None) or "")


def _method(request: HttpRequest) -> str:
    return request.url.rsplit("/", 1)[-1]


class _ConnectionErrors(AsyncConnectionErrorRetryHandler):
    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        never_left = isinstance(error, aiohttp.ClientConnectorError)
        if _method(request) in ADDING and not never_left:
            return False
        return await super()._can_retry_async(
            state=state, request=request, response=response, error=error
        )


class _ServerErrors(AsyncServerErrorRetryHandler):
    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if _method(request) in ADDING:
            return False
        return await super()._can_retry_async(
            state=state, request=request, response=response, error=error
        )


class _RateLimits(AsyncRateLimitErrorRetryHandler):
    """A stream that may not start is not waited for: the answer is posted instead."""

    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if _method(request) == "chat.startStream":
            return False
        return await super()._can_retry_async(
            state=state, request=request, response=response, error=error
        )


class LenientResponse(aiohttp.ClientResponse):
    """An answer that is read as JSON whatever it is called, and is an object in any case.

    Slack calls it so; servers that speak like Slack may say `text/html` or nothing at all.
    """

    @property
    def content_type(self) -> str:
        """What the SDK reads as JSON."""
        return "application/json"

    async def json(self, **how: Any) -> Any:
        """The object. Raises JSONDecodeError."""
        found = await super().json(**(how | {"content_type": None}))
        return found if isinstance(found, dict) else {}
