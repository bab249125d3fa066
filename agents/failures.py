"""What openai, its HTTP client and the network raise -> `agents.errors`, without any secret.

The texts of providers can repeat a part of the API key, so the original error is never chained;
what is quoted of it is scrubbed and short. Importing this module imports openai.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import httpx2
import openai

from agents.errors import (
    ModelContextTooLong,
    ModelFailure,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRefusedRequest,
    ModelTimeout,
    ModelUnavailable,
)
from agents.streaming import ProviderReported

OUTSIDE = (ProviderReported, openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError, OSError)
"""All that a call to a provider raises, apart from our own failures."""

_QUOTED_CHARACTERS = 300
_KEYS = re.compile(r"\b(?:sk|pk|rk|gsk|xai|key)[-_][\w*.-]{6,}|Bearer\s+\S+", re.IGNORECASE)
_TOO_LONG = ("context_length_exceeded", "exceed_context_size", "context size", "prompt is too long")
_SICK_CODES = ("server_error", "overloaded", "unavailable", "timeout")


def translated(error: Exception, *, model: str, secret: str) -> ModelFailure:
    """The failure that one of `OUTSIDE` means."""
    if isinstance(error, ProviderReported):
        return _reported(error, model, secret)
    if isinstance(error, openai.APIStatusError):
        return _status(error, model, secret)
    return _connection(error, model)


def _status(error: openai.APIStatusError, model: str, secret: str) -> ModelFailure:
    said = _quote(_words(error), secret)
    status = error.status_code
    if status in (401, 403):
        return ModelRefusedKey(
            f"The provider refused the API key for {model} (HTTP {status}). Check OPENAI_API_KEY "
            "and that its account may use this model."
        )
    if status == 429:
        return _rate_limited(error, model)
    if status in (408, 409) or status >= 500:
        return ModelUnavailable(
            f"The server of {model} failed (HTTP {status}): {said} Try again in a moment."
        )
    return _refused(model, f"HTTP {status}", said)


def _refused(model: str, code: str, said: str) -> ModelRefusedRequest:
    if any(sign in said for sign in _TOO_LONG):
        return ModelContextTooLong(
            f"The conversation is too long for {model}. Start a new thread, or ask about less."
        )
    return ModelRefusedRequest(
        f"The provider did not accept the request for {model} ({code}): {said} Check the model's "
        "name (VIRTUOUS6_MODEL, VIRTUOUS6_FAST_MODEL) and the agent's settings."
    )


def _rate_limited(error: openai.RateLimitError | openai.APIStatusError, model: str) -> ModelFailure:
    if "insufficient_quota" in (error.code, error.type):
        return ModelRefusedKey(
            f"The account behind OPENAI_API_KEY has no credit left for {model}. Add credit, or "
            "use another key."
        )
    wait = retry_after(error.response.headers)
    when = "in a moment" if wait is None else f"in {wait:.0f} seconds"
    return ModelRateLimited(
        f"The provider of {model} asks us to slow down. Try again {when}.", wait
    )


def retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds to wait by `retry-after-ms` or `retry-after` (seconds or a date), at least 0."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    try:
        moment = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _connection(error: Exception, model: str) -> ModelUnavailable:
    # aiohttp's transport calls a server that hangs up a "connect timeout": ask the first cause
    cause = error
    while cause.__cause__ is not None and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    if isinstance(cause, (TimeoutError, httpx2.TimeoutException)):
        return timed_out(model)
    return ModelUnavailable(
        f"The server of {model} cannot be reached or hung up ({type(cause).__name__}). Check the "
        "network and OPENAI_BASE_URL; `virtuous6 doctor` says what is reachable."
    )


def timed_out(model: str) -> ModelTimeout:
    """The failure of a model that took too long."""
    return ModelTimeout(f"{model} took too long to answer. Try again, or use a faster model.")


def _reported(error: ProviderReported, model: str, secret: str) -> ModelFailure:
    said = _quote(error.message, secret)
    if "rate_limit" in error.code or error.code == "429":
        return ModelRateLimited(f"The provider of {model} asks us to slow down. Try again soon.")
    if error.code.startswith("5") or any(sign in error.code for sign in _SICK_CODES):
        return ModelUnavailable(f"The server of {model} failed: {said} Try again in a moment.")
    return _refused(model, error.code or "error", said)


def _words(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        return " ".join(str(body[key]) for key in ("message", "code", "type") if body.get(key))
    return error.message


def _quote(text: str, secret: str) -> str:
    if secret:
        text = text.replace(secret, "[key]")
    text = " ".join(_KEYS.sub("[key]", text).split())[:_QUOTED_CHARACTERS]
    return text if text.endswith((".", "!", "?")) else f"{text}."
