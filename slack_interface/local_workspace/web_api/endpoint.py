"""/api/METHOD: arguments, token, rates, faults, the answer, the log."""

import time
from typing import Any
from urllib.parse import parse_qsl

import orjson
import structlog
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from slack_interface.local_workspace.activity_log import ApiCall
from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.errors import RateLimitedError, SlackError
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.web_api import (
    assistant_sessions,
    blocks,
    chat,
    conversations,
    files,
    oauth_misc,
    reactions,
    streams,
    users,
    views,
)
from slack_interface.local_workspace.web_api.registry import METHODS, Call, Method

logger = structlog.get_logger(__name__)

FAMILIES = (
    assistant_sessions,
    blocks,
    chat,
    conversations,
    files,
    oauth_misc,
    reactions,
    streams,
    users,
    views,
)
"""Importing a family registers its methods."""

PREFIX = "/api/"
MOST_BYTES = 20_000_000


class ApiEndpoint:
    """An ASGI application for /api/*; plain ASGI because a benchmark goes through it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"x-oauth-scopes", ",".join(sorted(runtime.config.app.scopes)).encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        started = time.perf_counter()
        name = scope["path"].removeprefix(PREFIX)
        args: Json = {}
        headers = self._headers
        status, error = 200, None
        try:
            args, authorization = await _arguments(scope, receive)
            answer = self._answer(name, args, authorization)
        except SlackError as problem:
            status, error, answer = problem.status, problem.code, problem.body()
            if isinstance(problem, RateLimitedError):
                headers = [*headers, (b"retry-after", str(problem.retry_after).encode())]
        except Exception:
            logger.exception("method_failed", method=name)
            status, error = 500, "internal_error"
            answer = SlackError(error).body()
        elapsed = (time.perf_counter() - started) * 1000
        self._runtime.log.add(ApiCall(name, args, status, error, elapsed))
        body = orjson.dumps(answer)
        length = (b"content-length", str(len(body)).encode())
        start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _answer(self, name: str, args: Json, authorization: str) -> Json:
        runtime = self._runtime
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        token = args.pop("token", None) or authorization.removeprefix("Bearer ")
        call = Call(runtime, args, authorization)
        self._check_token(method, str(token))
        if method.scope:
            call.need_scope(method.scope)
        faults = runtime.faults
        if faults.strikes(faults.rate_limit):
            raise RateLimitedError(1)
        if faults.strikes(faults.errors):
            raise SlackError("internal_error", status=500)
        if faults.pacing:
            runtime.rates.spend_tier(name, method.tier)
        return {"ok": True, **method.handler(call)}

    def _check_token(self, method: Method, token: str) -> None:
        secrets = self._runtime.secrets
        if method.token == "none":
            return
        if not token:
            raise SlackError("not_authed")
        if token not in (secrets.bot_token, secrets.app_token):
            raise SlackError("invalid_auth")
        if self._runtime.revoked:
            raise SlackError("token_revoked")
        is_bot = token == secrets.bot_token
        if method.token != "any" and (method.token == "bot") != is_bot:
            raise SlackError("not_allowed_token_type")


async def _arguments(scope: Scope, receive: Receive) -> tuple[Json, str]:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    args: Json = {}
    if scope["query_string"]:
        args.update(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    authorization = headers.get(b"authorization", b"").decode()
    content_type = headers.get(b"content-type", b"")
    if content_type.startswith(b"multipart/form-data"):
        form = await Request(scope, receive).form()
        args.update({key: value for key, value in form.items() if isinstance(value, str)})
        return args, authorization
    body = await _body(receive)
    if body:
        args.update(_parse(body, content_type.decode()))
    return args, authorization


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise SlackError("request_too_large", status=413)
    return b"".join(parts)


def _parse(body: bytes, content_type: str) -> dict[str, Any]:
    if content_type.startswith("application/json"):
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise SlackError("invalid_json") from None
        if not isinstance(parsed, dict):
            raise SlackError("json_not_object")
        return parsed
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except UnicodeDecodeError:
        raise SlackError("invalid_form_data") from None
