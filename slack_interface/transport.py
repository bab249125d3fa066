"""How calls to Slack fail, and which of them may simply be made again."""

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

TRANSPORT_ERRORS = (SlackClientError, aiohttp.ClientError, OSError)
"""Every way a call to Slack fails; a timeout is an OSError."""

ADDING = frozenset({"chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage"})
"""Each call adds something: not made again before it is known what became of the first."""

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
    if not isinstance(error, SlackApiError) or not hasattr(error.response, "data"):
        return ""
    data = error.response.data
    return str(data.get("error") or "") if isinstance(data, dict) else ""


def retry_after(error: SlackApiError) -> float:
    """Seconds until Slack takes such a call again."""
    headers = getattr(error.response, "headers", None) or {}
    try:
        return float(headers.get("Retry-After") or 1)
    except ValueError:
        return 1.0


def perhaps_done(error: Exception) -> bool:
    """Whether Slack may have done what it was asked although the call failed."""
    if isinstance(error, SlackApiError):
        code = code_of(error)
        return not code or code in _PERHAPS_DONE or _status(error) >= 500
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


def _status(error: SlackApiError) -> int:
    response = error.response
    return int(getattr(response, "status_code", None) or getattr(response, "status", None) or 0)


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
