"""HTTP mode: signed requests to the app's request URL."""

import hashlib
import hmac
import secrets
import time
from urllib.parse import urlencode, urlsplit

import httpx
import orjson

from slack_interface.local_workspace.activity_log import Attempt
from slack_interface.local_workspace.config import Json, Secrets
from slack_interface.local_workspace.delivery import Parcel, Reply, UndeliveredError
from slack_interface.local_workspace.errors import ControlError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"


def signature(signing_secret: str, timestamp: str, body: bytes) -> str:
    """Slack's v0 signature of a request body."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(signing_secret.encode(), base, hashlib.sha256).hexdigest()


class HttpPush:
    """Posts events, commands and interactions to one URL; implements Transport."""

    name = "http"

    def __init__(self, url: str, keys: Secrets) -> None:
        if urlsplit(url).hostname not in LOOPBACK:
            raise ControlError(
                "invalid_request_url", f"The request URL must be on this machine, not {url!r}."
            )
        self.url = url
        self._keys = keys
        self._client = httpx.AsyncClient(trust_env=False)

    def is_open(self) -> bool:
        """A request URL is always tried."""
        return True

    async def verify(self, timeout_s: float) -> None:
        """Do Slack's url_verification.

        Raises ControlError `url_verification_failed`.
        """
        challenge = secrets.token_urlsafe(32)
        body = {"token": self._keys.verification_token, "challenge": challenge}
        raw = orjson.dumps({**body, "type": "url_verification"})
        try:
            response = await self._post(raw, "application/json", {}, timeout_s)
        except httpx.HTTPError as problem:
            raise ControlError(
                "url_verification_failed", f"{self.url} cannot be reached: {problem!r}"
            ) from None
        if response.status_code != 200 or challenge not in response.text:
            raise ControlError(
                "url_verification_failed",
                f"{self.url} answered HTTP {response.status_code} without the challenge; "
                "is the signing secret the workspace's?",
            )

    async def send(self, parcel: Parcel, attempt: Attempt, deadline_s: float, kill: bool) -> Reply:
        """Post once. A 2xx answer within the deadline acknowledges."""
        raw, content_type = _encode(parcel)
        headers: dict[str, str] = {}
        if attempt.attempt:
            headers["X-Slack-Retry-Num"] = str(attempt.attempt)
            headers["X-Slack-Retry-Reason"] = attempt.reason or "unknown_error"
        try:
            response = await self._post(raw, content_type, headers, deadline_s)
        except httpx.TimeoutException:
            raise UndeliveredError("timeout", "http_timeout") from None
        except httpx.HTTPError:
            raise UndeliveredError("connection_failed", "connection_failed") from None
        if not response.is_success:
            no_retry = response.headers.get("x-slack-no-retry") == "1"
            raise UndeliveredError("http_error", "http_error", final=no_retry)
        return Reply(_payload(response))

    async def _post(
        self, raw: bytes, content_type: str, headers: dict[str, str], timeout_s: float
    ) -> httpx.Response:
        timestamp = str(int(time.time()))
        headers |= {
            "Content-Type": content_type,
            "User-Agent": USER_AGENT,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self._keys.signing_secret, timestamp, raw),
        }
        return await self._client.post(self.url, content=raw, headers=headers, timeout=timeout_s)

    async def close(self) -> None:
        """Close the connections to the app."""
        await self._client.aclose()


def _encode(parcel: Parcel) -> tuple[bytes, str]:
    if parcel.type == "events_api":
        return orjson.dumps(parcel.payload), "application/json"
    form = parcel.payload
    if parcel.type == "interactive":
        form = {"payload": orjson.dumps(parcel.payload).decode()}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def _payload(response: httpx.Response) -> Json | None:
    if not response.content:
        return None
    if response.headers.get("content-type", "").startswith("application/json"):
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            return None
        return body if isinstance(body, dict) else None
    return {"text": response.text}
