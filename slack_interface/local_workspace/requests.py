"""Reading JSON requests of the page and of scripts, and answering their errors."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.errors import ControlError, SlackError

Endpoint = Callable[[Request], Awaitable[Response]]


def reply(body: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, media_type="application/json")


async def read_json(request: Request) -> Json:
    """The JSON object a request carries.

    Raises ControlError `json_needed`: another content type could come from any web page.
    """
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise ControlError("json_needed", "Send Content-Type: application/json.", 415)
    body = await request.body()
    try:
        parsed = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as problem:
        raise ControlError("invalid_json", f"The body is not JSON: {problem}") from None
    if not isinstance(parsed, dict):
        raise ControlError("invalid_json", "The body must be a JSON object.")
    return parsed


class Fields:
    """Checked access to the fields of a request."""

    def __init__(self, body: Json) -> None:
        self.body = body

    def text(self, name: str) -> str:
        """A string that must be there (it may be empty).

        Raises ControlError `missing_field`.
        """
        value = self.body.get(name)
        if not isinstance(value, str):
            raise ControlError("missing_field", f"Send {name!r} as a string.")
        return value

    def optional(self, name: str) -> str | None:
        """A string or nothing.

        Raises ControlError `invalid_field`.
        """
        value = self.body.get(name)
        if value is not None and not isinstance(value, str):
            raise ControlError("invalid_field", f"{name!r} must be a string.")
        return value or None

    def object(self, name: str) -> Json:
        """A JSON object that must be there.

        Raises ControlError `missing_field`.
        """
        value = self.body.get(name)
        if not isinstance(value, dict):
            raise ControlError("missing_field", f"Send {name!r} as an object.")
        return value

    def optional_object(self, name: str) -> Json:
        """A JSON object, empty when it is not there.

        Raises ControlError `missing_field`.
        """
        return {} if self.body.get(name) is None else self.object(name)

    def flag(self, name: str) -> bool:
        """Whether a field is true."""
        return self.body.get(name) is True


def guarded(endpoint: Endpoint) -> Endpoint:
    """The same endpoint with refusals answered as {"ok": false, "error", "message"}."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ControlError as problem:
            return reply(problem.body(), problem.status)
        except SlackError as problem:
            status = problem.status if problem.status != 200 else 400
            message = " ".join(problem.messages) or problem.code
            return reply({**problem.body(), "message": message}, status)

    return answer
