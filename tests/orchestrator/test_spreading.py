"""What helped one agent is suggested to those like it, and tried there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from database.learning import Change, Proposal
from orchestrator.agent_pool import register_shipped
from orchestrator.spreading import SPREADING, Spreading
from tests.orchestrator.fakes import WordEmbedder, agent
from tests.orchestrator.pipeline import ADA, CODER, Pipeline, changed, observe_all

TESTER = agent(
    "tester", specialty="everything about coder tests", description="Does coder tests.",
    temperature=0.9,
)  # fmt: skip
BREWER = agent("brewer", specialty="beer and ale", description="Brews.")


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    made = await Pipeline(tmp_path).open()
    await register_shipped(made.store, [TESTER, BREWER])
    made.bus.on("proposal_moved", Spreading(made.store, made.cycles, WordEmbedder()).moved)
    yield made
    await made.close()


async def verified(pipeline: Pipeline, worse: float, **fields: Any) -> list[Proposal]:
    """A change of coder that held; what was suggested to others after it."""
    return await held(pipeline, changed(CODER, **fields), worse)


async def held(pipeline: Pipeline, change: Change, worse: float = 0.0) -> list[Proposal]:
    waits = await pipeline.propose(change)
    await pipeline.improvement.advance()
    trial = await pipeline.trial(waits)
    observe_all(pipeline.store, trial, 60, 0.0, 1.0)
    await pipeline.improvement.advance()
    await pipeline.improvement.decide(waits.proposal_id, ADA, True)
    watch = await pipeline.improvement.verification_of(waits.proposal_id)
    assert watch is not None
    for number in range(100):
        old = 1.0 if number % 20 < worse * 20 else 0.0
        observe_all(pipeline.store, watch, 1, 1.0, old, first=number)
    await pipeline.improvement.advance()
    assert (await pipeline.now(waits)).state == "verified"
    await pipeline.bus.drain()
    return [p for p in await pipeline.improvement.proposals() if p.learner == SPREADING]


def prompt_of(proposal: Proposal) -> str:
    body = proposal.changes[0].body
    assert body is not None
    return str(body["system_prompt"])


async def test_a_large_success_is_suggested_to_similar_agents_once(pipeline: Pipeline) -> None:
    added = f"{CODER.system_prompt} Say what is missing."
    suggested = {p.changes[0].name: p for p in await verified(pipeline, 0.0, system_prompt=added)}
    assert suggested.keys() <= {"tester", "writer"}, "who brews is not alike"
    made = suggested["tester"]
    assert (made.changes[0].name, made.risk) == ("tester", "low")
    assert made.state in ("proposed", "trial"), "it is tried like anything else"
    assert prompt_of(made) == "You are tester.\n\nSay what is missing."
    again = await pipeline.again()
    again.bus.on("proposal_moved", Spreading(again.store, again.cycles, WordEmbedder()).moved)
    await again.improvement.announce()
    await again.bus.drain()
    found = [p for p in await again.improvement.proposals() if p.learner == SPREADING]
    assert len(found) == len(suggested)
    await again.close()


async def test_a_success_of_a_variant_is_suggested_as_well(pipeline: Pipeline) -> None:
    body = {**CODER.body(), "system_prompt": f"{CODER.system_prompt} Say what is missing."}
    suggested = await held(pipeline, Change("agent", "coder--kind-1", None, body))
    made = {p.changes[0].name: p for p in suggested}["tester"]
    assert prompt_of(made) == "You are tester.\n\nSay what is missing."
    assert made.title == "Let tester do what helped coder"


async def test_what_is_about_the_one_agent_stays_there(pipeline: Pipeline) -> None:
    assert await verified(pipeline, 0.0, system_prompt="Something else altogether.") == []


async def test_a_value_is_carried_over_only_where_it_was_the_same(pipeline: Pipeline) -> None:
    suggested = await verified(pipeline, 0.0, temperature=0.1)
    assert "tester" not in [p.changes[0].name for p in suggested]


async def test_a_small_success_is_not_told(pipeline: Pipeline) -> None:
    added = f"{CODER.system_prompt} Say what is missing."
    assert await verified(pipeline, 0.95, system_prompt=added) == []
