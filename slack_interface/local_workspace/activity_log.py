"""A bounded record of every API call and every delivery, for `/_control/log`."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from slack_interface.local_workspace.config import Json


@dataclass(slots=True)
class ApiCall:
    """One call of a Web API method; `ms` is how long it took here."""

    method: str
    args: Json
    status: int
    error: str | None
    ms: float
    at: float = field(default_factory=time.time)
    team: str | None = None

    def row(self) -> Json:
        """As `/_control/log` shows it; the token is never among the arguments."""
        return {
            "kind": "api",
            "at": self.at,
            "method": self.method,
            "args": self.args,
            "status": self.status,
            "ok": self.error is None,
            "error": self.error,
            "ms": round(self.ms, 3),
            "team": self.team,
        }


@dataclass(slots=True)
class Attempt:
    """One attempt to hand something to the app.

    `outcome`: pending, acked, timeout, dropped, no_connection, http_error, connection_failed.
    """

    type: str
    name: str
    envelope_id: str
    event_id: str | None
    transport: str
    attempt: int
    reason: str | None
    payload: Any
    outcome: str = "pending"
    ack_ms: float | None = None
    at: float = field(default_factory=time.time)
    team: str | None = None

    def settle(self, outcome: str) -> None:
        """Note how it ended, and after how long."""
        self.outcome = outcome
        self.ack_ms = (time.time() - self.at) * 1000

    def row(self) -> Json:
        """As `/_control/log` shows it."""
        row: Json = {name: getattr(self, name) for name in self.__slots__}
        return {"kind": "delivery"} | row


class ActivityLog:
    """The last `size` entries, oldest first."""

    def __init__(self, size: int) -> None:
        self._entries: deque[ApiCall | Attempt] = deque(maxlen=size)

    def add(self, entry: ApiCall | Attempt) -> None:
        """Append; the oldest entry goes when the ring is full."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def rows(
        self,
        *,
        kind: str | None = None,
        method: str | None = None,
        team: str | None = None,
        limit: int | None = None,
    ) -> list[Json]:
        """Entries as JSON, oldest first; of one kind, method or team, the last `limit` of them."""
        rows = [entry.row() for entry in self._entries if _matches(entry, kind, method, team)]
        return rows[-limit:] if limit else rows


def _matches(
    entry: ApiCall | Attempt, kind: str | None, method: str | None, team: str | None
) -> bool:
    if team is not None and entry.team != team:
        return False
    is_call = isinstance(entry, ApiCall)
    if kind is not None and kind != ("api" if is_call else "delivery"):
        return False
    name = entry.method if isinstance(entry, ApiCall) else entry.name
    return method is None or method == name
