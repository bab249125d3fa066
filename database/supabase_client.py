"""Talking to Supabase: the only place that knows its library, its errors and its waits.

The library takes 0.4 s to import, so this module is imported only where Supabase is configured.
"""

import asyncio
import base64
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
from postgrest.types import ReturnMethod
from supabase import AsyncClient, AsyncClientOptions

from database.errors import (
    ConfigurationError,
    RecordAway,
    RecordMisconfigured,
    RecordRefused,
    StoreError,
)
from database.outbox_rows import KEYS

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0
"""Supabase itself ends a statement after eight seconds."""

BOOLEANS: Mapping[str, frozenset[str]] = {
    "runs": frozenset({"outcome_success"}),
    "steps": frozenset({"ok"}),
    "messages": frozenset({"deleted"}),
    "documents": frozenset({"active"}),
}
"""What SQLite keeps as 0 or 1. (Lite takes a 1 for false.)"""

_GIVEN_THERE = "seq"
_SCHEMA = re.compile(r"PGRST20\d|42(?!501)...")
_DATA = re.compile(r"(21|22|23|P0)...|PGRST1\d\d")
_QUOTED = re.compile(r': ".*', re.DOTALL)


_WORDS: Mapping[str, str] = {
    "create_document": "keep this",
    "activate_document": "keep this",
    "decide": "keep this",
    "learning_window": "say what is new",
    "audit_rows": "show the audit log",
    "forget_person": "forget this person",
    "everything_about": "say what is kept",
    "erase_workspace": "erase the workspace",
    "changes": "tell what was decided",
    "page_of_runs": "give the runs",
    "run_counts": "give figures",
}
"""What people read of these functions: Supabase cannot be reached to ..."""


class _Failed(Exception):
    """An answer that is an error, before it is understood."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class SupabaseClient:
    """One project, reached with its secret key. Used from one event loop; close it there.

    Every method raises RecordAway when Supabase cannot be reached or is busy, RecordMisconfigured
    when it does not let us in or lacks our tables, and RecordRefused for what is in the request;
    no message quotes what was sent.
    """

    def __init__(self, url: str, key: str) -> None:
        if not re.match(r"https?://[^/\s]+", url):
            raise ConfigurationError(
                f"SUPABASE_URL is {url!r}, which is no address. Take the project's URL from "
                "Supabase's settings, for example https://abcdefgh.supabase.co."
            )
        if not key or key.startswith("sb_publishable_"):
            raise ConfigurationError(
                "SUPABASE_SERVICE_ROLE_KEY must be the project's secret key (sb_secret_... or the "
                "service_role key of its API settings), not the publishable one."
            )
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            event_hooks={"response": [_refuse_errors]},
        )
        options = AsyncClientOptions(
            httpx_client=self._http, auto_refresh_token=False, persist_session=False
        )
        self._client = AsyncClient(url, key, options)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def upsert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows of the local record, or write over those of the same key; all or none.

        At most 500 at once, no key twice. `seq` is left out: the record gives its own.
        """
        sent = [to_record(table, row) for row in rows]
        query = self._client.table(table).upsert(
            sent, on_conflict=",".join(KEYS[table]), returning=ReturnMethod.minimal
        )
        await self._ask(query.execute, f"keep {table}")

    async def delete(self, table: str, keys: Sequence[Sequence[str | int]]) -> None:
        """Delete what there is of these keys (the workspace first, in the order of KEYS)."""
        await self.call("delete_facts", facts=table, keys=[list(key) for key in keys])

    async def call(self, function: str, *, read: bool = False, **arguments: Any) -> Any:
        """What an SQL function answers; lists and mappings go as JSON text.

        A `read` is tried a second time where the connection broke: connections that were idle do.
        """
        sent = {name: _argument(value) for name, value in arguments.items()}
        what = _WORDS.get(function, f"do {function}")
        try:
            return (await self._ask(self._client.rpc(function, sent).execute, what)).data
        except RecordAway:
            if not read:
                raise
        await asyncio.sleep(0.1)
        return (await self._ask(self._client.rpc(function, sent).execute, what)).data

    async def _ask(self, execute: Any, what: str) -> Any:
        try:
            return await execute()
        except _Failed as failed:
            raise explained(failed.response, what) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise RecordAway(
                f"Supabase cannot be reached to {what} ({_reason(error)}). Nothing was changed; "
                "check SUPABASE_URL and the network if it stays so."
            ) from error
        except httpx.HTTPError as error:
            raise RecordAway(
                f"Supabase did not answer to {what} ({_reason(error)}); whether it was done is not "
                "known. It is looked at again when Supabase answers."
            ) from error
        except (ValueError, OverflowError) as error:
            raise RecordRefused(
                "A value cannot be written as JSON (not a number, or infinite).", "22P02"
            ) from error


def to_record(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the local record as Supabase takes it."""
    booleans = BOOLEANS.get(table, frozenset())
    return {
        column: bool(value) if column in booleans and value is not None else _sendable(value)
        for column, value in row.items()
        if column != _GIVEN_THERE
    }


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _argument(value: Any) -> Any:
    """Lite hands JSON to a function as a string and PostgREST as JSON; text is the same in both."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _sendable(value)


async def _refuse_errors(response: httpx.Response) -> None:
    """Supabase's library tells neither the status of an error nor its headers."""
    if response.is_error:
        await response.aread()
        raise _Failed(response)


def explained(response: httpx.Response, what: str) -> StoreError:
    """What an answer that is an error means for us."""
    status, body = response.status_code, _body(response)
    code, message = str(body.get("code") or ""), str(body.get("message") or "")
    if status == 404 or _SCHEMA.fullmatch(code):
        return RecordMisconfigured(
            f"Supabase lacks what this version needs to {what} ({code or status}). Run "
            "`virtuous6 db migrate`, and check SUPABASE_URL."
        )
    if status in (401, 403) or code == "42501":
        return RecordMisconfigured(
            f"Supabase does not let us {what} ({status}). Check SUPABASE_SERVICE_ROLE_KEY: it must "
            "be the secret key of the project at SUPABASE_URL."
        )
    if status == 413 or _DATA.fullmatch(code) or _refused_by_lite(code, message):
        words = _QUOTED.sub("", message) or "the request is too large"
        return RecordRefused(
            f"Supabase refuses to {what}: {words} ({code or status}).", code or str(status)
        )
    return RecordAway(
        f"Supabase could not {what} just now ({code or status}). It is tried again; nothing is "
        "lost.",
        _retry_after(response),
    )


def _refused_by_lite(code: str, message: str) -> bool:
    """Lite has one code for all that it has no name for, also for a value that a check refuses."""
    return code == "SUP" and "violates" in message


def _body(response: httpx.Response) -> Mapping[str, Any]:
    with suppress(ValueError):
        found = response.json()
        if isinstance(found, dict):
            return found
    return {}


def _retry_after(response: httpx.Response) -> float | None:
    with suppress(ValueError):
        return float(response.headers.get("Retry-After", ""))
    return None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
