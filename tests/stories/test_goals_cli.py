"""Goals and workers from the command line: real processes, the real engine, a scripted model."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from database.records import Run, RunQuery
from database.store import Store
from orchestrator.administration import FIRST_WORKSPACE
from tests.model_server.server import ScriptedModel, answer
from tests.patience import PATIENCE_S
from virtuous6 import app

ROOT = Path(__file__).resolve().parents[2]
WISH = "Compare Rollbar with Sentry, work out the yearly price of each, and draft the announcement."
PLAN = {
    "goal": "Choose an error tracker",
    "steps": [
        {"stage": 1, "title": "Compare", "task": "Compare Rollbar with Sentry.", "needs": []},
        {"stage": 1, "title": "Price", "task": "Work out the yearly prices.", "needs": [1]},
        {"stage": 1, "title": "Draft", "task": "Draft the announcement.", "needs": [1, 2]},
    ],
}
STEP = {"systemMessage": "You do one step of a plan"}


def scripted() -> list[dict[str, Any]]:
    return [
        answer("Sentry it is.", when={**STEP, "userMessage": "Your step: Answer"}),
        answer("Sentry has more.", when={**STEP, "userMessage": "Your step: Compare"}),
        answer("26 dollars a month.", when={**STEP, "userMessage": "Your step: Price"}),
        answer("Dear all ...", when={**STEP, "userMessage": "Your step: Draft"}),
        answer(json.dumps(PLAN)),
    ]


@pytest.fixture
async def home(
    tmp_path: Path, scripted_model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home whose model is scripted, in the environment of every command."""
    await scripted_model.script(scripted())
    for name, value in {
        "VIRTUOUS6_HOME": str(tmp_path),
        "OPENAI_BASE_URL": scripted_model.base_url,
        "OPENAI_API_KEY": "sk-test",
        "VIRTUOUS6_MODEL": "gpt-4.1",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def command(*arguments: str, status: int = 0) -> dict[str, Any]:
    """What `virtuous6 ... --json` prints."""
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == status, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def worker(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`virtuous6 worker`, as a process of its own; killed at the end if it still runs."""
    out = (home / "worker.log").open("wb")
    with out, subprocess.Popen([sys.executable, "virtuous6.py", "worker"], cwd=ROOT, stdout=out,
                               stderr=subprocess.STDOUT) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def test_a_goal_is_started_here_and_carried_out_by_a_worker(home: Path) -> None:
    begun = command("goals", "start", WISH)
    assert (begun["state"], begun["workers"]) == ("running", 0)
    assert [task["title"] for task in begun["tasks"]] == ["Compare", "Price", "Draft", "Answer"]
    assert [task["needs"] for task in begun["tasks"]][2] == ["s1", "s2"]

    with worker(home) as running:
        found = until_ended(begun["goal_id"])
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE_S) == 0, (home / "worker.log").read_text()
    assert (found["state"], found["answer"]) == ("done", "Sentry it is.")
    assert {task["state"] for task in found["tasks"]} == {"done"}
    assert "Stopping" in (home / "worker.log").read_text()
    assert command("goals", "cancel", begun["goal_id"], status=1)["error"]

    tasks, [plan, end] = asyncio.run(recorded(home))
    assert len(tasks) == 4
    assert {run.parent_run_id for run in tasks} == {plan.run_id} == {end.parent_run_id}
    assert (plan.request, end.reply) == (WISH, "Sentry it is.")
    assert end.route is not None
    assert end.route["tasks"] == {"all": 4, "done": 4}


def test_a_goal_that_nobody_works_on_can_be_looked_at_and_ended(home: Path) -> None:
    begun = command("goals", "start", WISH)
    short = begun["goal_id"][:8]
    assert [one["goal_id"] for one in command("goals", "status")["goals"]] == [begun["goal_id"]]
    shown = CliRunner().invoke(app, ["goals", "status", short]).output
    assert "Compare" in shown
    assert "(running)" in shown
    assert command("goals", "cancel", short)["state"] == "cancelled"
    assert command("goals", "status", short)["state"] == "cancelled"
    assert "no goal" in command("goals", "status", "nothing", status=1)["error"]


def test_a_goal_can_be_waited_for(home: Path) -> None:
    done = CliRunner().invoke(app, ["goals", "start", "--wait", WISH])
    assert done.exit_code == 0, done.output
    assert "Step 3, Draft: done" in done.output
    assert "Sentry it is." in done.output


def test_a_worker_elsewhere_needs_one_home_for_documents(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUOUS6_ENGINE_URL", "postgresql://u:p@db.example.com/goals")
    refused = CliRunner().invoke(app, ["worker"])
    assert refused.exit_code == 2
    assert "set SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY" in refused.output
    assert len(refused.output.splitlines()) == 1
    assert not (home / "goals.db").exists()


def until_ended(goal_id: str) -> dict[str, Any]:
    began = time.monotonic()
    while time.monotonic() < began + 2 * PATIENCE_S:
        found = command("goals", "status", goal_id)
        if found["state"] not in ("running", "waiting"):
            break
        time.sleep(0.1)
    return found


async def recorded(home: Path) -> tuple[list[Run], list[Run]]:
    """The runs of tasks, and of the plan and the answer."""
    store = Store.open(home, FIRST_WORKSPACE)
    try:
        replies = await store.runs(RunQuery())
        return (
            await store.runs(RunQuery(kinds=("task",))),
            sorted(replies, key=lambda run: run.parent_run_id or ""),
        )
    finally:
        await store.close()
