"""What a thousand agents cost: memory, and the time to choose and take one.

`python -m benchmarks.agent_pool [--quick] [--json]`

Registers 1,000 agents in a fresh record, then routes 200 requests and takes the agents in random
order, as replies do. Memory is the process's resident set; latency is routing plus `pool.use`.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from agents.definition import AgentDefinition, shipped_definitions
from agents.model_settings import ModelSettings
from agents.models import Models
from agents.similarity import Similarity
from agents.tools import CATALOGUE
from agents.universal_agent import UniversalAgent
from benchmarks import command
from database.store import Store
from orchestrator.agent_pool import AgentPool, register_shipped
from orchestrator.event_bus import EventBus
from orchestrator.routing import Router

SUBJECTS = ("contracts", "payroll", "travel", "security", "hiring", "design", "tax", "logistics")


def definition(number: int) -> AgentDefinition:
    """An agent that differs from all others in what it is for."""
    subject = f"{SUBJECTS[number % len(SUBJECTS)]} of team {number}"
    return AgentDefinition(
        name=f"agent-{number}",
        specialty=f"questions about {subject}",
        description=f"Answers questions about {subject}.",
        examples=tuple(f"question {n} about {subject}" for n in range(8)),
        system_prompt=f"You answer questions about {subject}. " + "Be brief. " * 50,
        tools=("calculator", "date_time"),
    )


async def measure(agents: int, uses: int) -> dict[str, Any]:
    """Before and after registering `agents`; then `uses` of them in random order."""
    models = Models(ModelSettings("http://127.0.0.1:9/v1", None, "m", "m"))
    router = Router(Similarity.load())
    with tempfile.TemporaryDirectory() as home:
        store = Store.open(Path(home), "T0BENCH")
        pool = AgentPool(store, router, EventBus(), lambda d: UniversalAgent(d, models, CATALOGUE))
        await register_shipped(store, shipped_definitions())
        await pool.refresh()
        before = await taken(pool, router, list(pool.definitions), uses)
        for number in range(agents - len(pool.definitions)):
            made = definition(number)
            await store.create_document("agent", made.name, made.body(), origin="person")
        began = time.perf_counter()
        await pool.refresh()
        loading_ms = (time.perf_counter() - began) * 1000
        after = await taken(pool, router, list(pool.definitions), uses)
        registered = len(pool.definitions)
        await store.close()
    await models.aclose()
    return {"agents": registered, "loading_ms": loading_ms, "before": before, "after": after}


async def taken(pool: AgentPool, router: Router, names: list[str], uses: int) -> dict[str, float]:
    """Route a request of each agent's kind and take that agent, in random order."""
    order = random.Random(1).choices(names, k=uses)
    routing, using, live = [], [], 0
    for name in order:
        text = pool.definitions[name].specialty
        began = time.perf_counter()
        await pool.refresh()
        await router.route(text, router.embed(text))
        routed = time.perf_counter()
        async with pool.use(name):
            using.append((time.perf_counter() - routed) * 1000)
        routing.append((routed - began) * 1000)
        live = max(live, pool.live)
    return {
        "memory_mb": psutil.Process().memory_info().rss / 2**20,
        "route_ms": statistics.median(routing),
        "use_ms": statistics.median(using),
        "most_live": live,
    }


async def run(quick: bool) -> dict[str, Any]:
    """A thousand agents."""
    return await measure(1000, 50 if quick else 200)


def show(report: Mapping[str, Any]) -> None:
    """Three lines for people."""
    for label in ("before", "after"):
        figures = ", ".join(f"{key} {value:.3f}" for key, value in report[label].items())
        Console().print(f"{label}: {figures}")
    Console().print(f"{report['agents']} agents, taken over in {report['loading_ms']:.0f} ms")


def main() -> None:
    """The command line."""
    command.measure(__doc__, "50 uses instead of 200", run, show)


if __name__ == "__main__":
    main()
