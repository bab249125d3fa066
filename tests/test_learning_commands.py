"""Learning from the command line: cycles, switches, patterns, proposals, trials."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from database.learning import Finding, Proposal, Strength
from tests.orchestrator.pipeline import ADA, CODER, Pipeline, changed
from virtuous6 import app

Invoke = Callable[..., Result]
BETTER = changed(CODER, system_prompt="You are coder. Answer with code only.")


@pytest.fixture
def invoke(home: Path) -> Invoke:
    def run(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == status, result.output
        return result

    return run


def json_of(result: Result) -> Any:
    return json.loads(result.stdout)


def kept(home: Path, work: Callable[[Pipeline], Awaitable[Any]], **more: Any) -> Any:
    """What an assistant did in this home before."""

    async def done() -> Any:
        pipeline = await Pipeline(home, **more).open()
        try:
            return await work(pipeline)
        finally:
            await pipeline.close()

    return asyncio.run(done())


def waiting(home: Path) -> Proposal:
    """A proposal that waits for a person."""
    made: Proposal = kept(home, lambda pipeline: pipeline.awaiting(BETTER))
    return made


def test_a_proposal_is_shown_approved_once_and_taken_back(invoke: Invoke, home: Path) -> None:
    made = waiting(home)
    [listed] = json_of(invoke("proposals", "list", "--json"))["proposals"]
    assert (listed["proposal_id"], listed["state"], listed["risk"]) == (
        made.proposal_id, "awaiting", "low",
    )  # fmt: skip
    shown = json_of(invoke("proposals", "show", made.proposal_id[:8], "--json"))
    assert shown["changes"][0]["before"]["system_prompt"] == "You are coder."
    assert shown["trials"][0]["state"] == "proven"
    assert "Answer with code only" in invoke("proposals", "show", made.proposal_id).stdout

    moved = json_of(invoke("--as", ADA, "proposals", "approve", made.proposal_id[:8], "--json"))
    assert (moved["state"], moved["decided_by"]) == ("live", ADA)
    again = invoke("proposals", "approve", made.proposal_id, "--json", status=1)
    assert f"live by {ADA} already" in json_of(again)["error"]
    history = json_of(invoke("agents", "history", "coder", "--json"))["versions"]
    assert [version["origin"] for version in history if version["active"]] == ["proposal"]

    trials = json_of(invoke("trials", "list", "--json"))["trials"]
    assert {trial["state"] for trial in trials} == {"proven", "running"}
    back = json_of(invoke("proposals", "rollback", made.proposal_id, "--json"))
    assert (back["state"], back["decided_by"]) == ("rolled_back", "command line")


def test_where_approvers_are_named_they_must_be_named_here_too(
    invoke: Invoke, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = waiting(home)
    monkeypatch.setenv("VIRTUOUS6_APPROVERS", ADA)
    nobody = invoke("proposals", "approve", made.proposal_id, "--json", status=1)
    assert "--as USER" in json_of(nobody)["error"]
    other = invoke("--as", "U0EVE", "proposals", "approve", made.proposal_id, status=1)
    assert f"Only approvers decide that: {ADA}." in other.stderr
    invoke("--as", "U0EVE", "learn", "off", status=1)
    assert (
        json_of(invoke("--as", ADA, "proposals", "reject", made.proposal_id, "--json"))["state"]
        == "rejected"
    )


def test_learning_is_switched_and_paused(invoke: Invoke) -> None:
    assert json_of(invoke("learn", "off", "--json"))["switch"] == "off"
    [first, *_] = json_of(invoke("learn", "--json"))["cycles"]
    assert "off" in first["skipped"]
    assert json_of(invoke("learn", "pause", "--json"))["switch"] == "paused"
    assert json_of(invoke("learn", "resume", "--json"))["switch"] == "on"
    invoke("agents", "list")
    assert json_of(invoke("learn", "pause", "coder", "--json"))["mode"] == "paused"
    policy = {s["key"]: s["value"] for s in json_of(invoke("policy", "show", "--json"))["policy"]}
    assert (policy["mode.coder"], policy["improvement"]) == ("paused", "on")
    assert "no agent called nobody" in invoke("learn", "pause", "nobody", status=1).stderr


def test_a_learner_sees_imported_runs_once(invoke: Invoke, tmp_path: Path) -> None:
    step = {"kind": "tool", "name": "calculator", "arguments": {"expression": "1/0"}, "ok": False,
            "error": "Division by zero", "duration_ms": 1, "input_tokens": None,
            "output_tokens": None, "cost_usd": None}  # fmt: skip
    line = {"parent_run_id": None, "kind": "reply", "started_at": "2026-11-20T10:00:00Z",
            "duration_ms": 900, "user": "U7", "channel": "C1", "request": "divide",
            "task_type": None, "agent": "coder", "agent_version": None, "model": "m",
            "steps": [step], "outcome": {"success": None, "score": None, "source": None},
            "reply": "no"}  # fmt: skip
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"run_id": f"r{n}", **line}) + "\n" for n in range(12)))
    invoke("runs", "import", str(source))
    one = json_of(invoke("learn", "--learner", "error-recovery", "--json"))
    assert one["runs"] == 12
    again = json_of(invoke("learn", "--learner", "error-recovery", "--json"))
    assert (again["runs"], again["findings"]) == (0, [])
    assert "There are: " in invoke("learn", "--learner", "nobody", status=1).stderr


def test_people_say_which_patterns_are_real(invoke: Invoke, home: Path) -> None:
    async def find(pipeline: Pipeline) -> None:
        pattern = Finding("f-0001", "workflow-analyst", "pattern", "Numbers, then a chart", "...")
        note = Finding("f-0002", "workflow-analyst", "note", "Quiet week", "...")
        pipeline.learner.says = type(pipeline.learner.says)((pattern, note))
        pipeline.run("r1")
        await pipeline.improvement.cycle(pipeline.learner.name)

    kept(home, find)
    [pattern] = json_of(invoke("patterns", "list", "--json"))["patterns"]
    assert (pattern["finding_id"], pattern["state"]) == ("f-0001", "open")
    assert len(json_of(invoke("patterns", "list", "--all", "--json"))["patterns"]) == 2
    judged = json_of(invoke("--as", ADA, "patterns", "verify", "f-0001", "--json"))
    assert (judged["state"], judged["decided_by"]) == ("verified", ADA)
    invoke("patterns", "verify", "f-0001", "--dismiss")
    assert json_of(invoke("patterns", "list", "--json"))["patterns"][0]["state"] == "dismissed"
    assert "no finding" in invoke("patterns", "verify", "f-9", status=1).stderr


def test_patterns_are_listed_verified_ones_first_then_the_strongest(
    invoke: Invoke, home: Path
) -> None:
    async def find(pipeline: Pipeline) -> None:
        strengths: tuple[Strength, ...] = ("moderate", "weak", "very strong", "strong")
        found = tuple(
            Finding(f"f-{strength}", "workflow-analyst", "pattern", "It repeats", "...",
                    strength=strength)
            for strength in strengths
        )  # fmt: skip
        pipeline.learner.says = type(pipeline.learner.says)(found)
        pipeline.run("r1")
        await pipeline.improvement.cycle(pipeline.learner.name)

    kept(home, find)
    invoke("--as", ADA, "patterns", "verify", "f-moderate")
    listed = json_of(invoke("patterns", "list", "--json"))["patterns"]
    assert [one["strength"] for one in listed] == ["moderate", "very strong", "strong", "weak"]


def test_kinds_of_requests_are_called_by_an_example(invoke: Invoke, home: Path) -> None:
    async def find(pipeline: Pipeline) -> None:
        found = Finding(
            "f-0001", "workflow-analyst", "pattern", "Requests of kind-7 go badly", "...",
            runs=("r1",),
        )  # fmt: skip
        pipeline.learner.says = type(pipeline.learner.says)((found,))
        pipeline.run("r1")
        await pipeline.improvement.cycle(pipeline.learner.name)

    kept(home, find)
    shown = " ".join(invoke("patterns", "list").stdout.split())
    assert "Requests such as “" in shown
    assert "kind-7" not in shown
    assert "“" in invoke("--as", ADA, "patterns", "verify", "f-0001").stdout
    [pattern] = json_of(invoke("patterns", "list", "--json"))["patterns"]
    assert pattern["title"] == "Requests of kind-7 go badly", "programs get the name"
