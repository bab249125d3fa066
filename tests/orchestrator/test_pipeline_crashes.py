"""Whatever the order of looks, clicks and crashes: nothing is lost, doubled or half done."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Coroutine, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agents.definition import AgentDefinition
from database.errors import InputError
from database.learning import Change, Decision, Proposal, Trial
from database.records import Document
from orchestrator.leases import LEASE_SECONDS
from orchestrator.verifying import verification_id
from tests.orchestrator.pipeline import ADA, CODER, WRITER, Pipeline, observe_all, proposal

Result = TypeVar("Result")
FORWARD = {"approved": {"live", "verified", "rolled_back"}, "rejected": {"rejected"},
           "taken back": {"rolled_back"}}  # fmt: skip
"""The states that a proposal may be in once a person was told that they decided so."""


class Crash(BaseException):
    """The process ends here."""


def crashing(pipeline: Pipeline, after_writes: int, saved: bool) -> None:
    """End with the next write but so many, before or after it reached the disk."""
    left = after_writes

    def around(decide: Any) -> Any:
        async def write(decision: Decision) -> list[Document]:
            nonlocal left
            left -= 1
            if left < 0 and not saved:
                raise Crash
            done: list[Document] = await decide(decision)
            if left < 0:
                raise Crash
            return done

        return write

    store: Any = pipeline.store
    store.decide, store.decide_here = around(store.decide), around(store.decide_here)


async def is_whole(pipeline: Pipeline) -> None:
    """What must hold at any moment, whatever happened before."""
    proposals = await pipeline.store.proposals(limit=1_000)
    running = await pipeline.store.trials({"running"}, 1_000)
    for definition in (CODER, WRITER):
        await _one_version_answers(pipeline, definition, proposals)
    for one in proposals:
        of_it = [t for t in running if t.proposal_id == one.proposal_id]
        assert len(of_it) == (one.state in ("trial", "live")), (one.state, of_it)
    assert len({t.agent for t in running}) == len(running), "one trial at a time for a document"
    entries = await pipeline.store.audit(limit=100_000)
    for one in proposals:
        told = [e.action for e in entries if e.subject == one.proposal_id]
        assert told.count("promoted") == (one.state in ("live", "verified", "rolled_back"))
        assert told.count("rolled back") == (one.state == "rolled_back")
        assert len(told) == one.revision, (told, one.revision)
    report = await pipeline.store.audit_verify()
    assert report.whole, report.broken


async def _one_version_answers(
    pipeline: Pipeline, definition: AgentDefinition, proposals: Sequence[Proposal]
) -> None:
    """The active version is what the proposals in force make of the shipped one, one by one."""
    history = await pipeline.store.history("agent", definition.name)
    [active] = [document.version for document in history if document.active]
    made = {
        change.version: change.base
        for one in proposals
        if one.state in ("live", "verified")
        for change in one.changes
        if change.name == definition.name
    }
    seen = active
    while seen in made:
        seen = made.pop(seen) or ""
    assert seen == definition.version
    assert not made, "a change that is in force does not answer"


class AnyOrder(RuleBasedStateMachine):
    """People, learners, the clock and crashes, in any order."""

    pipeline: Pipeline

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = Path(tempfile.mkdtemp(prefix="pipeline-"))
        self.decided: dict[str, str] = {}
        self.made = 0

    def teardown(self) -> None:
        self.done(self.pipeline.close())
        self.loop.close()
        shutil.rmtree(self.home)

    def done(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """The result; None where the process ended meanwhile, and another one has begun."""
        try:
            return self.loop.run_until_complete(work)
        except Crash:
            self.loop.run_until_complete(self.begin_again())
            return None

    async def begin_again(self) -> None:
        old = self.pipeline
        old.clock.now += LEASE_SECONDS + 1
        self.pipeline = await Pipeline(self.home, old.clock).open()
        await old.close()

    @initialize()
    def begin(self) -> None:
        self.pipeline = self.loop.run_until_complete(Pipeline(self.home).open())

    @rule(definition=st.sampled_from([CODER, WRITER]), both=st.booleans())
    def propose(self, definition: AgentDefinition, both: bool) -> None:
        """A learner proposes a change of what answers now; some change two documents at once."""
        self.made += 1

        async def work() -> None:
            changes = [await self.change(definition)]
            if both:
                changes.append(Change("runbook", f"book-{self.made}", None, {"n": self.made}))
            await self.pipeline.improvement.submit([proposal(*changes)])

        self.done(work())

    async def change(self, definition: AgentDefinition) -> Change:
        document = await self.pipeline.store.document("agent", definition.name)
        assert document is not None
        body = {**document.body, "system_prompt": f"Number {self.made}."}
        return Change("agent", definition.name, document.version, body)

    @rule()
    def tick(self) -> None:
        self.done(self.pipeline.improvement.advance())

    @rule(better=st.booleans())
    def people_use_it(self, better: bool) -> None:
        """The newer version of each running trial does better, or worse."""

        async def work() -> None:
            for trial in await self.pipeline.store.trials({"running"}):
                active, candidate = (0.0, 1.0) if better != _watches(trial) else (1.0, 0.0)
                seen = len(await self.pipeline.store.observations(trial.trial_id))
                observe_all(self.pipeline.store, trial, 45, active, candidate, first=seen)

        self.done(work())

    @rule(which=st.integers(0, 3), approve=st.booleans())
    def click(self, which: int, approve: bool) -> None:
        self.decide("awaiting", which, "approved" if approve else "rejected")

    @rule(which=st.integers(0, 3))
    def click_too_early_or_late(self, which: int) -> None:
        self.decide("", which, "approved")

    @rule(which=st.integers(0, 3))
    def take_back(self, which: int) -> None:
        self.decide("", which, "taken back")

    @rule(writes=st.integers(0, 2), saved=st.booleans())
    def crash_soon(self, writes: int, saved: bool) -> None:
        crashing(self.pipeline, writes, saved)

    @rule()
    def crash(self) -> None:
        self.done(self.begin_again())

    @invariant()
    def nothing_is_lost_doubled_or_half_done(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        self.loop.run_until_complete(is_whole(self.pipeline))
        for proposal_id, told in self.decided.items():
            now = self.loop.run_until_complete(self.pipeline.store.proposal(proposal_id))
            assert now is not None
            assert now.state in FORWARD[told]

    def decide(self, state: str, which: int, how: str) -> None:
        async def work() -> None:
            improvement = self.pipeline.improvement
            found = [p for p in await improvement.proposals() if state in ("", p.state)]
            if not found:
                return
            chosen = found[which % len(found)].proposal_id
            try:
                if how == "taken back":
                    await improvement.roll_back(chosen, ADA)
                else:
                    await improvement.decide(chosen, ADA, how == "approved")
            except InputError:
                return
            self.decided[chosen] = how

        self.done(work())


def _watches(trial: Trial) -> bool:
    return trial.trial_id == verification_id(trial.proposal_id)


# Without shrinking, which took minutes for a failure whose steps can be read as they are.
AnyOrder.TestCase.settings = settings(
    max_examples=6, stateful_step_count=25, deadline=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],
)  # fmt: skip
TestAnyOrder = AnyOrder.TestCase


async def _improve_for_ever(home: str, said: Connection) -> None:
    """Proposals, trials, clicks and verdicts, one after the other; each step is told."""
    pipeline = await Pipeline(Path(home)).open()
    await pipeline.engine.queue("DELETE FROM claims", ())  # whoever held them was killed
    number = len(await pipeline.store.proposals(limit=1_000))
    while True:
        number += 1
        document = await pipeline.store.document("agent", "coder")
        assert document is not None
        body = {**document.body, "system_prompt": f"Number {number}."}
        change = Change("agent", "coder", document.version, body)
        await pipeline.improvement.submit([proposal(change)])
        for _ in range(3):
            said.send("step")
            await pipeline.improvement.advance()
            for trial in await pipeline.store.trials({"running"}):
                better = (number % 3 > 0) != _watches(trial)
                observe_all(pipeline.store, trial, 45, *((0.0, 1.0) if better else (1.0, 0.0)))
            for one in await pipeline.improvement.proposals({"awaiting"}):
                await pipeline.improvement.decide(one.proposal_id, ADA, True)


def _killed(home: str, said: Connection) -> None:
    asyncio.run(_improve_for_ever(home, said))


async def test_a_process_that_is_killed_at_any_moment_leaves_nothing_half_done(
    tmp_path: Path,
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    for steps in (1, 4, 8):
        ours, theirs = context.Pipe()
        process = context.Process(target=_killed, args=(str(tmp_path), theirs))
        process.start()
        for _ in range(steps):
            assert await asyncio.to_thread(ours.poll, 60), "the process does not go on"
            ours.recv()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.join)
        pipeline = await Pipeline(tmp_path).open()
        await is_whole(pipeline)
        await pipeline.close()
    pipeline = await Pipeline(tmp_path).open()
    assert await pipeline.improvement.proposals()
    await pipeline.close()
