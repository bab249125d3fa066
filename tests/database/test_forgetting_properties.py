"""Whatever was learned from her, however old by then: after forgetting no byte of it is left."""

import asyncio
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from database.learning import (
    Change,
    Decision,
    ExamQuestion,
    Finding,
    Proposal,
    ProposalState,
    proposal_id_of,
)
from database.records import Feedback, Run
from database.store import Store
from tests.database.test_forgetting import HERS, bytes_of

OLD = 1e9
CLOSED: tuple[ProposalState, ...] = ("rejected", "superseded")
NAMES = st.sampled_from(["poet", "clerk"])
BY = st.sampled_from(["l", "U0BOB"])
WHOSE = st.sampled_from(["U0ADA", "U0ADA", "U0BOB"])
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("wish"), WHOSE, NAMES, BY),
        st.tuples(st.just("learn"), WHOSE, NAMES, BY),
        st.tuples(st.just("close"), st.sampled_from(CLOSED)),
        st.tuples(st.just("live")),
        st.tuples(st.just("end"), st.sampled_from(["verified", "rolled_back"])),
        st.tuples(st.just("find"), WHOSE),
        st.tuples(st.just("ask"), WHOSE),
        st.tuples(st.just("purge")),
        st.tuples(st.just("purge")),
        st.tuples(st.just("forget"), WHOSE),
    ),
    max_size=14,
)


@dataclass
class World:
    """What learning does with what two people said; she says a word that nobody else does."""

    store: Store
    count: int = 0
    forgotten: bool = False

    async def act(self, what: str, *more: Any) -> None:
        await getattr(self, what)(*more)

    async def say(self, user: str) -> str:
        """A run of theirs, long ago; but who was forgotten says it since."""
        self.count += 1
        words = HERS if user == "U0ADA" else "hello"
        at = time.time() if self.forgotten else OLD
        run = Run(f"r{self.count}", words, "poet", started_at=at, user_id=user, reply=words)
        self.store.append(
            run, Feedback(f"f{self.count}", run.run_id, "reason", -1.0, text=words, user_id=user)
        )
        return run.run_id

    async def wish(self, user: str, name: str, by: str) -> None:
        """A change of what is active, or something new; it keeps the words that are there."""
        run = await self.say(user)
        active = await self.store.document("agent", name)
        body = {**(active.body if active else {}), "n": self.count}
        body |= {"say": HERS} if user == "U0ADA" else {}
        changes = (Change("agent", name, active.version if active else None, body),)
        quote = HERS if user == "U0ADA" else "hello"
        made = Proposal(
            proposal_id_of(by, changes), by, quote, quote, changes,
            {"runs": [run], "examples": [quote]}, created_at=OLD, moved_at=OLD,
        )  # fmt: skip
        await self.store.decide(Decision((made,)))

    async def learn(self, user: str, name: str, by: str) -> None:
        """A change that is made and proves good."""
        await self.wish(user, name, by)
        await self.live()
        await self.end("verified")

    async def close(self, state: ProposalState) -> None:
        for proposal in await self.store.proposals({"proposed"}, 1):
            await self.move(proposal, state)

    async def live(self) -> None:
        for proposal in await self.store.proposals({"proposed"}, 1):
            [change] = proposal.changes
            active = await self.store.document("agent", change.name)
            fits = change.base == (active.version if active else None)
            known = active or not await self.store.history("agent", change.name)
            if fits and known:
                await self.move(proposal, "live", proposal.changes)

    async def end(self, state: ProposalState) -> None:
        for proposal in await self.store.proposals({"live"}, 1):
            await self.move(proposal, state)

    async def move(
        self, proposal: Proposal, state: ProposalState, changes: tuple[Change, ...] = ()
    ) -> None:
        """Long ago, too."""
        moved = replace(proposal, state=state, revision=proposal.revision + 1, moved_at=OLD)
        await self.store.decide(Decision((moved,), changes=changes))

    async def find(self, user: str) -> None:
        run = await self.say(user)
        words = HERS if user == "U0ADA" else "hello"
        before = await self.store.learner_state("l")
        found = Finding(f"f{run}", "l", "note", words, words, {"x": words}, (run,), created_at=OLD)
        remembers = {**before.state, run: words}
        state = replace(before, state=remembers, runs_seen=2**40, revision=before.revision + 1)
        await self.store.decide(Decision(findings=(found,), learners=(state,)))

    async def ask(self, user: str) -> None:
        run = await self.say(user)
        words = HERS if user == "U0ADA" else "hello"
        self.store.append(ExamQuestion(f"q{run}", run, words, {"equals": words}, "poet", "learn",
                                       user_id=user, created_at=OLD))  # fmt: skip

    async def purge(self) -> None:
        await self.store.purge(1.5e9)

    async def forget(self, user: str) -> None:
        await self.store.forget(user)
        self.forgotten = True


@given(ACTS)
@settings(max_examples=20, deadline=None)
def test_purged_and_forgotten_in_any_order_nothing_of_her_is_left(
    acts: list[tuple[Any, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(live_through(Path(home), acts))


async def live_through(home: Path, acts: list[tuple[Any, ...]]) -> None:
    store = Store.open(home, "T1")
    world = World(store)
    for act in acts:
        await world.act(*act)
    await store.forget("U0ADA")
    assert HERS.encode() not in bytes_of(home)
    assert (await store.audit_verify()).whole
    for kind_of in ("poet", "clerk"):
        assert sum(d.active for d in await store.history("agent", kind_of)) <= 1
    await store.close()
    assert HERS.encode() not in bytes_of(home)
