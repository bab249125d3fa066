"""A real OpenAI-compatible server on loopback that answers what a test scripted."""

import asyncio
import json
import os
import re
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.model_server.install import AIMOCK
from tests.node_packages import NODE
from tests.patience import PATIENCE_S

Fixture = Mapping[str, Any]
_LISTENING = re.compile(r"listening on (http://\S+)")


class ScriptedModel:
    """The aimock server as an async context manager; started on a free port, stopped by process.

    A fixture is `{"match": {...}, "response": {...}, ...}` as aimock's README describes it; the
    first that matches wins and `{}` matches all. `answer`, `tool_call` and `failure` make the
    usual ones. A request that matches none gets a 404.
    """

    def __init__(self, fixtures: Sequence[Fixture] = (), *, chunk_size: int = 20) -> None:
        self.base_url = ""
        self._fixtures = list(fixtures)
        self._chunk_size = chunk_size
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None

    async def __aenter__(self) -> Self:
        if not AIMOCK.installed():
            raise RuntimeError(
                "The scripted model server is missing: run `python -m tests.model_server.install`."
            )
        # A file needs no reader, unlike a pipe; it is open as long as the server runs.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = await self._spawn(self._log)
            self.base_url = f"{await self._address()}/v1"
            await self.script(self._fixtures)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def script(self, fixtures: Sequence[Fixture]) -> None:
        """Replace what is scripted, and forget the calls and counters so far."""
        await self._control("POST", "/reset")
        if fixtures:
            await self._control("POST", "/fixtures", {"fixtures": list(fixtures)})

    async def calls(self) -> list[dict[str, Any]]:
        """The body of every model request since `script`, oldest first."""
        return [entry["body"] for entry in await self.journal() if entry["body"] is not None]

    async def journal(self) -> list[dict[str, Any]]:
        """The server's own record of those requests: path, headers, body, response."""
        entries: list[dict[str, Any]] = await self._control("GET", "/journal")
        return entries

    async def _spawn(self, log: IO[bytes]) -> asyncio.subprocess.Process:
        arguments = ["-h", "127.0.0.1", "-p", "0", "-c", str(self._chunk_size)]
        return await asyncio.create_subprocess_exec(
            NODE,
            AIMOCK.script,
            *arguments,
            "-f",
            Path(__file__).with_name("empty.json"),
            "--journal-max",
            "20000",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    async def _address(self) -> str:
        """Wait until the server says where it listens; port 0 let the system choose."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                said = self._said()
                if found := _LISTENING.search(said):
                    return found.group(1)
                if self._process is None or self._process.returncode is not None:
                    raise RuntimeError(f"The scripted model server did not start:\n{said}")
                await asyncio.sleep(0.02)

    def _said(self) -> str:
        assert self._log is not None
        # pread: the server writes through the same file offset
        return os.pread(self._log.fileno(), 65536, 0).decode("utf-8", "replace")

    async def _control(self, method: str, path: str, body: object = None) -> Any:
        url = f"{self.base_url.removesuffix('/v1')}/__aimock{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)

        def send() -> Any:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return json.load(response)

        return await asyncio.to_thread(send)

    async def _stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._log is not None:
            self._log.close()


def answer(text: str, *, when: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """A fixture that answers `text`; `options` are the fixture's other keys (latency, ...)."""
    return {"match": dict(when or {}), "response": {"content": text}, **options}


def tool_call(
    name: str, arguments: Mapping[str, Any], *, when: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A fixture that asks for one tool."""
    call = {"name": name, "arguments": json.dumps(arguments)}
    return {"match": dict(when or {}), "response": {"toolCalls": [call]}}


def failure(
    status: int,
    message: str = "scripted failure",
    *,
    when: Mapping[str, Any] | None = None,
    retry_after: int | None = None,
) -> dict[str, Any]:
    """A fixture that fails with this HTTP status; `retry_after` in seconds (429 only)."""
    response: dict[str, Any] = {"error": {"message": message, "type": "scripted"}, "status": status}
    if retry_after is not None:
        response["retryAfter"] = retry_after
    return {"match": dict(when or {}), "response": response}
