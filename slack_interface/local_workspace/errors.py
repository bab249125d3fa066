"""Everything that goes wrong in the local workspace.

WorkspaceError
├── SlackError       an answer Slack gives to an app: {"ok": false, "error": code}
└── ControlError     an answer to the page or to a script: HTTP 4xx with what to do
"""

from typing import Any


class WorkspaceError(Exception):
    """Root of the errors of the local workspace."""


class SlackError(WorkspaceError):
    """A refusal in Slack's own words, sent to the app as `{"ok": false, "error": code}`.

    `messages` go into `response_metadata.messages`; `extra` keys stand beside `error`.
    """

    def __init__(
        self, code: str, *, messages: list[str] | None = None, status: int = 200, **extra: Any
    ) -> None:
        super().__init__(code)
        self.code = code
        self.messages = messages or []
        self.status = status
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON body Slack would send."""
        answer: dict[str, Any] = {"ok": False, "error": self.code, **self.extra}
        if self.messages:
            answer["errors"] = [text.removeprefix("[ERROR] ") for text in self.messages]
            answer["response_metadata"] = {"messages": self.messages}
        return answer


class RateLimitedError(SlackError):
    """HTTP 429 `ratelimited`; wait `retry_after` seconds and call again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("ratelimited", status=429)
        self.retry_after = retry_after


class ControlError(WorkspaceError):
    """A request of the page or of a script that cannot be done; the message says what to do."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"ok": False, "error": self.code, "message": self.message}
