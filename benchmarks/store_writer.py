"""A process that keeps what happens, message by message: `benchmarks.store` starts and kills it.

`python -m benchmarks.store_writer HOME URL KEY FIRST COUNT PER_SECOND` (URL - means: no Supabase)

A line for each message that is kept: its number and the milliseconds that keeping it took. Then it
waits until nothing waits to be sent, and says "sent". The same number is always the same message.
"""

import asyncio
import sys
import time
import uuid
from pathlib import Path

import structlog

from database.records import Fact, Message, Run, Step
from database.store import Store
from database.supabase_client import SupabaseClient

WORKSPACE = "T0BENCH"
REFUSED = "what the record refuses"
FACTS_ROWS = 5
_BEGAN = 4_000_000_000
"""In days to come, which nobody counts yet: as little as the day on which things happen."""


def facts_of(number: int, text: str = "") -> tuple[Fact, ...]:
    """An answered message as the assistant keeps it: a run with two steps, and both messages."""
    ts, reply_ts = f"{_BEGAN + number}.000100", f"{_BEGAN + number}.000200"
    run_id = str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
    question = text or f"what does the budget of project {number} say about travel? " * 4
    reply = f"It says that {number} dollars are left for this quarter, and why. " * 8
    steps = (
        Step(0, "model", "fast", None, True, None, 700.0, 800, 120, 0.0004),
        Step(1, "tool", "search", {"words": f"budget {number}"}, True, None, 20.0),
    )
    run = Run(
        run_id, question, "generalist", agent_version="v" * 64, model="fast", user_id="U0ADA",
        channel_id="C0TEAM", thread_ts=ts, message_ts=ts, reply_ts=reply_ts, reply=reply,
        started_at=float(_BEGAN + number), duration_ms=900.0, first_token_ms=400.0,
        input_tokens=800, output_tokens=120, cost_usd=0.0004, steps=steps,
    )  # fmt: skip
    asked = Message("C0TEAM", ts, ts, "person", question, "U0ADA", created_at=float(_BEGAN))
    said = Message("C0TEAM", reply_ts, ts, "assistant", reply, run_id=run_id, created_at=_BEGAN)
    return run, asked, said


async def write(store: Store, first: int, count: int, per_second: float) -> None:
    """Keep messages at this rate, and say how long each took."""
    begin = time.monotonic()
    for place in range(count):
        number = first + place
        facts = facts_of(number, REFUSED if number == 100 else "")
        started = time.perf_counter()
        store.append(*facts)
        took_ms = (time.perf_counter() - started) * 1000
        print(number, f"{took_ms:.4f}", flush=True)
        await asyncio.sleep(max(0.0, begin + (place + 1) / per_second - time.monotonic()))


async def sent(store: Store) -> None:
    """Until nothing waits to be sent."""
    while (await store.health()).waiting:  # noqa: ASYNC110 - the flusher tells nobody
        await asyncio.sleep(0.05)


async def main() -> None:
    """Write, wait, say so."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    home, url, key, first, count, per_second = sys.argv[1:]
    client = None if url == "-" else SupabaseClient(url, key)
    store = Store.open(Path(home), WORKSPACE, client)
    await store.start()
    await write(store, int(first), int(count), float(per_second))
    await sent(store)
    print("sent", flush=True)
    await store.close()
    if client is not None:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main())
