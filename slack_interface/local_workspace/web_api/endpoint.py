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
from slack_interface.local_workspace.installations import Token
from slack_interface.local_workspace.teams import Teams
from slack_interface.local_workspace.web_api import (
    assistant_sessions,
    blocks,
    chat,
    conversations,
    files,
    identity,
    oauth,
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
    identity,
    oauth,
    reactions,
    streams,
    users,
    views,
)
"""Importing a family registers its methods."""

PREFIX = "/api/"
WITH_SECRETS = ("apps.uninstall", "oauth.v2.access", "oauth.v2.exchange")
SECRET_ARGUMENTS = ("client_secret", "code", "refresh_token", "token")
"""Left out of the log."""
MOST_BYTES = 20_000_000


class ApiEndpoint:
    """An ASGI application for /api/*; plain ASGI because a benchmark goes through it."""

    def __init__(self, teams: Teams) -> None:
        self._teams = teams
        self._secrets = teams.platform.secrets
        self._headers = [(b"content-type", b"application/json; charset=utf-8")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        started = time.perf_counter()
        name = scope["path"].removeprefix(PREFIX)
        args: Json = {}
        headers = self._headers
        status, error, call = 200, None, None
        try:
            args, authorization = await _arguments(scope, receive)
            call = self._call(name, args, authorization)
            answer = self._answer(name, call)
        except SlackError as problem:
            status, error, answer = problem.status, problem.code, problem.body()
            if isinstance(problem, RateLimitedError):
                headers = [*headers, (b"retry-after", str(problem.retry_after).encode())]
        except Exception:
            logger.exception("method_failed", method=name)
            status, error = 500, "internal_error"
            answer = SlackError(error).body()
        elapsed = (time.perf_counter() - started) * 1000
        team = call.runtime.team.id if call is not None and call.token is not None else None
        if name in WITH_SECRETS:
            args = {key: value for key, value in args.items() if key not in SECRET_ARGUMENTS}
        self._teams.platform.log.add(ApiCall(name, args, status, error, elapsed, team=team))
        if call is not None and call.token is not None:
            headers = [*headers, (b"x-oauth-scopes", call.token.installation.scope.encode())]
        body = orjson.dumps(answer)
        length = (b"content-length", str(len(body)).encode())
        start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _call(self, name: str, args: Json, authorization: str) -> Call:
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        teams = self._teams
        if method.token == "none":
            return Call(teams, teams.first, args, authorization)
        value = str(args.pop("token", None) or authorization.removeprefix("Bearer "))
        token = self._token(method, value)
        if token is None:
            return Call(teams, teams.first, args, authorization)
        about = {} if method.of_token else args
        runtime = teams.for_call(token, about, needs_team=method.needs_team)
        return Call(teams, runtime, args, authorization, token)

    def _token(self, method: Method, value: str) -> Token | None:
        """The bot token of a call; None stands for the app-level one."""
        if not value:
            raise SlackError("not_authed")
        token = None
        if value != self._secrets.app_token:
            token = self._teams.platform.installations.authenticate(value)
        if method.token != "any" and (method.token == "bot") != (token is not None):
            raise SlackError("not_allowed_token_type")
        return token

    def _answer(self, name: str, call: Call) -> Json:
        method, runtime = METHODS[name], call.runtime
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
