"""What one person's flood does to another person's replies.

`python -m benchmarks.flood [--quick] [--json]`

Three processes on loopback, as in `message_overhead`: this driver with the local workspace (pacing
off), a scripted model server with a model's usual pace, and the assistant. Grace asks one question
after the other, first alone, then while Ada keeps 50 questions under way at once. What counts is
the time from her message to her finished answer: p95 alone, p95 flooded, and their ratio.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import numpy as np

from benchmarks import command
from benchmarks.message_overhead import ANSWER, Reader, ask, running, unpaced_workspace, watching
from tests.model_server.server import ScriptedModel, answer

FLOOD = 50
"""Questions that Ada keeps under way."""
TTFT_MS = 400
TOKENS_PER_SECOND = 120
ADA, GRACE = "U0ADA", "U0GRACE"


@dataclass(frozen=True, slots=True)
class Report:
    """Milliseconds of Grace's replies; `flood_per_second` is what Ada gets meanwhile."""

    p95_alone_ms: float
    p95_flooded_ms: float
    ratio: float
    p50_alone_ms: float
    p50_flooded_ms: float
    replies: int
    flood_at_once: int
    flood_per_second: float


async def one_by_one(client: httpx.AsyncClient, reader: Reader, count: int) -> list[float]:
    """So many questions of one person, each after the answer to the one before."""
    return [await ask(client, reader, number) for number in range(count)]


@contextlib.asynccontextmanager
async def flood(client: httpx.AsyncClient, reader: Reader) -> AsyncIterator[list[float]]:
    """Ada keeps FLOOD questions under way; yields the times of those answered so far."""
    answered: list[float] = []
    under_way, over = asyncio.Event(), asyncio.Event()

    async def keep_asking(number: int) -> None:
        while not over.is_set():
            answered.append(await ask(client, reader, number))
            if len(answered) >= FLOOD:
                under_way.set()

    tasks = [asyncio.create_task(keep_asking(number)) for number in range(FLOOD)]
    try:
        await asyncio.wait_for(under_way.wait(), 120)
        yield answered
    finally:
        # not cancelled: Python 3.11's wait_for may swallow that, and its task would ask for ever
        over.set()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run(quick: bool) -> Report:
    """Grace alone, then Grace beside Ada's flood."""
    count = 40 if quick else 120
    pace = {"streamingProfile": {"ttft": TTFT_MS, "tps": TOKENS_PER_SECOND}}
    limits = httpx.Limits(max_connections=FLOOD + 10)
    async with (
        unpaced_workspace() as workspace,
        ScriptedModel([answer(ANSWER, **pace)], chunk_size=4) as model,
        running("ours", workspace, model.base_url),
        httpx.AsyncClient(base_url=workspace.url, limits=limits, timeout=60) as client,
        watching(Reader(workspace, GRACE)) as hers,
        watching(Reader(workspace, ADA)) as floods,
    ):
        await one_by_one(client, hers, 10)
        alone = await one_by_one(client, hers, count)
        async with flood(client, floods) as answered:
            before, started = len(answered), time.perf_counter()
            flooded = await one_by_one(client, hers, count)
            per_second = (len(answered) - before) / (time.perf_counter() - started)
    return report_of(alone, flooded, per_second)


def report_of(alone: list[float], flooded: list[float], per_second: float) -> Report:
    """The figures of both series."""
    p95_alone, p95_flooded = (float(np.percentile(times, 95)) for times in (alone, flooded))
    return Report(
        p95_alone_ms=round(p95_alone, 1),
        p95_flooded_ms=round(p95_flooded, 1),
        ratio=round(p95_flooded / p95_alone, 3),
        p50_alone_ms=round(float(np.percentile(alone, 50)), 1),
        p50_flooded_ms=round(float(np.percentile(flooded, 50)), 1),
        replies=len(alone),
        flood_at_once=FLOOD,
        flood_per_second=round(per_second, 1),
    )


def show(report: Report) -> None:
    """A line for people."""
    print(
        f"p95 of {report.replies} replies: {report.p95_alone_ms:.0f} ms alone, "
        f"{report.p95_flooded_ms:.0f} ms beside {report.flood_at_once} of another person "
        f"({report.flood_per_second:.1f} answered a second): ratio {report.ratio:.2f}"
    )


def main() -> None:
    """The command line."""
    command.measure(__doc__, "fewer replies", run, show)


if __name__ == "__main__":
    main()
