"""What openai, its HTTP client and the network raise -> `agents.errors`, without any secret.

The texts of providers can repeat a part of the API key, so the original error is never chained;
what is quoted of it is scrubbed and short. Importing this module imports openai.
"""

import math
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
    ModelRefusedTools,
    ModelTimeout,
    ModelUnavailable,
)
from agents.fitting import NO_TOOLS, TOO_LONG
from agents.streaming import ProviderReported

OUTSIDE = (ProviderReported, openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError, OSError)
"""All that a call to a provider raises, apart from our own failures."""

_QUOTED_CHARACTERS = 300
_KEYS = re.compile(r"\b(?:sk|pk|rk|gsk|xai|key)[-_][\w*.-]{6,}|Bearer\s+\S+", re.IGNORECASE)
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
    if status in (404, 405) and _nothing_there(error.body):
        return ModelRefusedRequest(
            f"Nothing answers for {model} at this address (HTTP {status}). Check OPENAI_BASE_URL: "
            "it usually ends in /v1."
        )
    if status in (408, 409) or status >= 500:
        return ModelUnavailable(
            f"The server of {model} failed (HTTP {status}){said} Try again in a moment."
        )
    return _refused(model, f"HTTP {status}", said)


def _refused(model: str, code: str, said: str) -> ModelRefusedRequest:
    if TOO_LONG.search(said):
        return ModelContextTooLong(
            f"The conversation is too long for {model}. Start a new thread, or ask about less."
        )
    kind = ModelRefusedTools if NO_TOOLS.search(said) else ModelRefusedRequest
    return kind(
        f"The provider did not accept the request for {model} ({code}){said} Check the model's "
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
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        moment = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
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
        return ModelUnavailable(f"The server of {model} failed{said} Try again in a moment.")
    return _refused(model, error.code or "error", said)


def _words(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        said = [str(body[key]) for key in ("message", "code", "type", "detail") if body.get(key)]
        return " ".join(said)
    text = body.strip() if isinstance(body, str) else ""
    return "" if text.startswith("<") else text


def _nothing_there(body: object) -> bool:
    """Whether a web server says that it has no such page, and no model server speaks of a model."""
    said = body.get("detail") or body.get("message") if isinstance(body, dict) else body
    text = said.strip().lower() if isinstance(said, str) else ""
    return not text or text.startswith("<") or text in ("not found", "404 page not found")


def _quote(text: str, secret: str) -> str:
    """A provider's words as the end of a sentence of ours."""
    if secret:
        text = text.replace(secret, "[key]")
    text = " ".join(_KEYS.sub("[key]", text).split())[:_QUOTED_CHARACTERS]
    if not text:
        return "."
    return f": {text}" if text.endswith((".", "!", "?")) else f": {text}."
