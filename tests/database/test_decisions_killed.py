"""A process that is killed (-9) while it decides leaves whole decisions only."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from database.learning import Change, Decision, Proposal
from database.store import Store
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


async def decide_for_ever(home: Path) -> None:
    """Moves one proposal and one document again and again, together, and says so."""
    store = Store.open(home, "T1")
    while True:
        known = await store.proposal("p1")
        revision = known.revision + 1 if known else 1
        active = await store.document("agent", "poet")
        change = Change("agent", "poet", active.version if active else None, {"n": revision})
        proposal = Proposal("p1", "l", "t", "w", (change,), {"n": revision}, revision=revision)
        moved = replace(proposal, state="live" if revision % 2 else "rolled_back")
        await store.decide(Decision((moved,), changes=(change,), author="U1ADA"))
        print(revision, flush=True)  # noqa: T201


def kill_in_the_middle(home: Path, after: int) -> None:
    command = [sys.executable, "-m", "tests.database.test_decisions_killed", str(home)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(after):
            assert process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=PATIENCE_S)


async def test_what_was_decided_is_whole_whenever_the_process_is_killed(tmp_path: Path) -> None:
    for after in (1, 9):
        kill_in_the_middle(tmp_path, after)
        store = Store.open(tmp_path, "T1")
        proposal = await store.proposal("p1")
        assert proposal is not None
        history = await store.history("agent", "poet")
        [active] = [d for d in history if d.active]
        assert active.body == {"n": proposal.revision}
        assert len(history) == proposal.revision
        entries = await store.audit(limit=100_000)
        assert [e.details["revision"] for e in entries if e.subject == "p1"] == list(
            range(1, proposal.revision + 1)
        )
        assert [e.details["version"] for e in entries if e.subject == "agent/poet"] == [
            d.version for d in history
        ]
        assert (await store.audit_verify()).whole
        await store.close()


if __name__ == "__main__":
    asyncio.run(decide_for_ever(Path(sys.argv[1])))
