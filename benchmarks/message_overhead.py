"""What the assistant adds to a bare streaming Bolt app, in one run, side by side.

`python -m benchmarks.message_overhead [--quick] [--json]`

Three processes on loopback: this driver with the local workspace (pacing off), a scripted model
server that streams a fixed answer in 63 chunks, and the app under test. Both apps make the same
Slack calls. CPU is the app's own process (user + system, all threads, from the operating system),
latency is from the moment a person's message is posted to the moment the finished answer reaches a
reader of the channel. Rounds of the two apps alternate, and medians over rounds are reported.

All questions come from one person, faster than one person may ask. So the assistant's limits are
lifted in its throw-away home before it starts, as an approver would: `virtuous6 policy set` (see
`LIFTED`). They are still looked at for each message; nothing else is set differently.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import websockets
from rich.console import Console
from rich.table import Table

from benchmarks import command
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.config import TEAM_ID
from tests.model_server.server import ScriptedModel, answer

ROOT = Path(__file__).resolve().parent.parent
ANSWER = " ".join(f"w{n:02d}" for n in range(63)) + "."
"""253 characters: with chunks of 4 the bare app's 256-character buffer is never flushed early."""

APPS = {
    "bare": [sys.executable, "-m", "benchmarks.bare_app"],
    "ours": [sys.executable, "virtuous6.py", "serve", "--mode", "socket"],
}

LIFTED = ("person_at_once", "person_requests_per_minute", "workspace_requests_per_minute")
"""Limits that one person with 50 questions under way runs into."""


@dataclass(frozen=True, slots=True)
class Round:
    """One app under one load: times in milliseconds, memory in megabytes."""

    app: str
    latency_ms: int
    concurrency: int
    messages: int
    p50_ms: float
    p99_ms: float
    per_second: float
    cpu_ms: float
    memory_mb: float
    slack_calls: float


class Reader:
    """Watches a person's direct message and knows when each thread has its finished answer."""

    def __init__(self, workspace: LocalWorkspace, user: str) -> None:
        self.user = user
        self._url = workspace.url.replace("http", "ws", 1) + f"/_page/live?user={user}"
        self._waiting: dict[str, asyncio.Future[float]] = {}
        self._early: dict[str, float] = {}

    async def watch(self) -> None:
        """Follow the live events until cancelled."""
        async with websockets.connect(self._url, max_size=None, max_queue=None) as socket:
            async for text in socket:
                self._seen(json.loads(text))

    def _seen(self, event: dict[str, Any]) -> None:
        message = event.get("message") or {}
        finished = message.get("bot_id") and not message.get("streaming")
        has_buttons = any(b.get("type") == "context_actions" for b in message.get("blocks", []))
        if not (finished and has_buttons):
            return
        thread, now = message["thread_ts"], time.perf_counter()
        future = self._waiting.pop(thread, None)
        if future is None:
            self._early.setdefault(thread, now)
        elif not future.done():
            future.set_result(now)

    async def answered(self, thread_ts: str) -> float:
        """The moment (perf_counter) at which the thread's answer was complete."""
        if thread_ts in self._early:
            return self._early.pop(thread_ts)
        future = asyncio.get_running_loop().create_future()
        self._waiting[thread_ts] = future
        return await asyncio.wait_for(future, 60)


@asynccontextmanager
async def watching(reader: Reader) -> AsyncIterator[Reader]:
    """A reader that follows its person's messages."""
    task = asyncio.create_task(reader.watch())
    try:
        yield reader
    finally:
        task.cancel()


async def ask(
    client: httpx.AsyncClient, reader: Reader, number: int, about: str = "a write-ahead log"
) -> float:
    """One question of the reader's person; the milliseconds until its answer is complete."""
    text = f"Please explain in two sentences what {about} is (question {number})"
    body = {"channel": "@assistant", "user": reader.user, "text": text}
    started = time.perf_counter()
    reply = await client.post("/_control/message", json=body)
    reply.raise_for_status()
    return (await reader.answered(reply.json()["message"]["ts"]) - started) * 1000


async def load(
    client: httpx.AsyncClient, reader: Reader, messages: int, concurrency: int
) -> tuple[list[float], float]:
    """`messages` questions, `concurrency` at a time: each one's milliseconds, and all seconds."""
    numbers = iter(range(messages))
    times: list[float] = []

    async def person() -> None:
        for number in numbers:
            times.append(await ask(client, reader, number))

    started = time.perf_counter()
    await asyncio.gather(*(person() for _ in range(concurrency)))
    return times, time.perf_counter() - started


@asynccontextmanager
async def running(app: str, workspace: LocalWorkspace, model_url: str) -> AsyncIterator[int]:
    """The app under test in a process of its own, connected; yields its process id."""
    with tempfile.TemporaryDirectory() as home:
        environment = environment_of(workspace, model_url, Path(home))
        log = (Path(home) / "app.log").open("wb")
        if app == "ours":
            await lift_limits(environment)
        process = await asyncio.create_subprocess_exec(
            *APPS[app], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            await until_connected(workspace, process)
            yield process.pid
        except BaseException:
            sys.stderr.write((Path(home) / "app.log").read_text(errors="replace")[-3000:])
            raise
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            log.close()


def environment_of(workspace: LocalWorkspace, model_url: str, home: Path) -> dict[str, str]:
    """What an app needs to know of its workspace, its model and its home."""
    return os.environ | {
        "SLACK_API_URL": workspace.api_url,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "scripted",
        "VIRTUOUS6_MODEL": "gpt-4o-mini",
        "VIRTUOUS6_FAST_MODEL": "gpt-4o-mini",
        "VIRTUOUS6_HOME": str(home),
    }


async def lift_limits(environment: Mapping[str, str]) -> None:
    """`virtuous6 policy set` in the home that the environment names."""
    command = (sys.executable, "virtuous6.py", "--workspace", TEAM_ID, "policy", "set")
    for name in LIFTED:
        process = await asyncio.create_subprocess_exec(
            *command, name, "unlimited", cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
        )
        await process.communicate()
        if process.returncode:
            raise RuntimeError(f"the limit {name} could not be lifted")


async def until_connected(workspace: LocalWorkspace, process: asyncio.subprocess.Process) -> None:
    """Wait for the app's Socket Mode connection; 60 seconds at most."""
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=workspace.url) as client:
        while process.returncode is None:
            if (await client.get("/_control/state")).json()["app"]["connected"]:
                return
            await asyncio.sleep(0.05)
    raise RuntimeError("the app under test ended before it had connected")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def peak_megabytes(pid: int) -> float:
    """The most memory the process ever had resident (Linux: VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


async def slack_calls(client: httpx.AsyncClient) -> float:
    """Web API calls for each answer, by the latest calls that the workspace remembers."""
    calls = (await client.get("/_control/log?kind=api&limit=400")).json()["log"]
    answers = sum(1 for call in calls if call["method"] == "chat.stopStream")
    return len(calls) / max(1, answers)


async def one_round(app: str, latency_ms: int, concurrency: int, messages: int) -> Round:
    """Everything fresh: workspace, model server, app; a warm-up; then the measured load."""
    profile = {"streamingProfile": {"ttft": latency_ms}} if latency_ms else {}
    fixtures = [answer(ANSWER, **profile)]
    async with (
        unpaced_workspace() as workspace,
        ScriptedModel(fixtures, chunk_size=4) as model,
        running(app, workspace, model.base_url) as pid,
    ):
        return await measure(workspace, app, pid, latency_ms, concurrency, messages)


@asynccontextmanager
async def unpaced_workspace() -> AsyncIterator[LocalWorkspace]:
    """A local workspace in this process, with Slack's pacing off."""
    async with LocalWorkspace(port=0) as workspace:
        async with httpx.AsyncClient(base_url=workspace.url) as client:
            await client.post("/_control/faults", json={"pacing": False})
        yield workspace


async def measure(
    workspace: LocalWorkspace, app: str, pid: int, latency_ms: int, concurrency: int, messages: int
) -> Round:
    """Warm the app up, then load it and read the clocks."""
    limits = httpx.Limits(max_connections=concurrency + 4)
    async with (
        watching(Reader(workspace, "U0ADA")) as reader,
        httpx.AsyncClient(base_url=workspace.url, limits=limits, timeout=60) as client,
    ):
        await load(client, reader, max(20, concurrency), concurrency)
        before = cpu_seconds(pid)
        times, seconds = await load(client, reader, messages, concurrency)
        await asyncio.sleep(0.5)  # what an app does after its answer counts too
        cpu, calls = cpu_seconds(pid) - before, await slack_calls(client)
    return Round(
        app=app,
        latency_ms=latency_ms,
        concurrency=concurrency,
        messages=messages,
        p50_ms=float(np.percentile(times, 50)),
        p99_ms=float(np.percentile(times, 99)),
        per_second=messages / seconds,
        cpu_ms=cpu * 1000 / messages,
        memory_mb=peak_megabytes(pid),
        slack_calls=calls,
    )


def median_round(rounds: list[Round]) -> Round:
    """The median of each figure over rounds of the same app and load."""
    first = asdict(rounds[0])
    numbers = ("p50_ms", "p99_ms", "per_second", "cpu_ms", "memory_mb", "slack_calls")
    return Round(**first | {n: statistics.median(getattr(r, n) for r in rounds) for n in numbers})


def ratios(ours: Round, bare: Round) -> dict[str, float]:
    """Ours over bare, for each figure (throughput too: above 1 is better there)."""
    numbers = ("p50_ms", "p99_ms", "per_second", "cpu_ms", "memory_mb")
    return {n: round(getattr(ours, n) / getattr(bare, n), 3) for n in numbers}


async def run(quick: bool) -> dict[str, Any]:
    """All loads, the two apps alternating; the report as JSON-able data."""
    rounds = 1 if quick else 3
    cells: dict[tuple[int, int], dict[str, list[Round]]] = {}
    for _ in range(rounds):
        for latency_ms in (0, 500):
            for concurrency in (1, 50):
                messages = message_count(latency_ms, concurrency, quick)
                for app in APPS:
                    result = await one_round(app, latency_ms, concurrency, messages)
                    cell = cells.setdefault((latency_ms, concurrency), {})
                    cell.setdefault(app, []).append(result)
                    report_progress(result)
    return summary(
        {cell: {a: median_round(r) for a, r in by.items()} for cell, by in cells.items()}
    )


def message_count(latency_ms: int, concurrency: int, quick: bool) -> int:
    """Enough messages for a steady median without waiting long on a slow model."""
    if concurrency == 1:
        return 20 if latency_ms else (60 if quick else 200)
    return 200 if latency_ms else (300 if quick else 1000)


def report_progress(result: Round) -> None:
    """One line on standard error for each finished round."""
    sys.stderr.write(
        f"{result.app}: model {result.latency_ms} ms, {result.concurrency} at once: "
        f"p50 {result.p50_ms:.1f} ms, {result.cpu_ms:.1f} ms CPU a message\n"
    )


def summary(cells: dict[tuple[int, int], dict[str, Round]]) -> dict[str, Any]:
    """The top-level ratios (0 ms; throughput at 50 at once) and every cell behind them."""
    single, many = cells[0, 1], cells[0, 50]
    return {
        "ratio_cpu": ratios(single["ours"], single["bare"])["cpu_ms"],
        "ratio_p50": ratios(single["ours"], single["bare"])["p50_ms"],
        "ratio_throughput": ratios(many["ours"], many["bare"])["per_second"],
        "cells": [
            {app: asdict(r) for app, r in by.items()} | {"ratios": ratios(by["ours"], by["bare"])}
            for by in cells.values()
        ],
    }


def show(report: dict[str, Any]) -> None:
    """The report as a table."""
    table = Table(title="The assistant beside a bare streaming Bolt app (medians)")
    for column in ("model", "at once", "app", "p50 ms", "p99 ms", "messages/s", "CPU ms", "MB"):
        table.add_column(column, justify="right")
    for cell in report["cells"]:
        for app in APPS:
            r = Round(**cell[app])
            numbers = (r.p50_ms, r.p99_ms, r.per_second, r.cpu_ms, r.memory_mb)
            load_of = (f"{r.latency_ms} ms", str(r.concurrency), app)
            table.add_row(*load_of, *(f"{n:.1f}" for n in numbers))
        table.add_row("", "", "ours/bare", *(f"{n:.2f}" for n in cell["ratios"].values()))
    Console().print(table)


def main() -> None:
    """The command line."""
    command.measure(__doc__, "one round with fewer messages", run, show)


if __name__ == "__main__":
    main()
