"""The command line beside a workspace that was used: the same runs, figures and agents."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from database.records import RunQuery
from tests.model_server.server import answer, tool_call
from tests.people import ADA, GRACE
from tests.stories.story import Story, asked
from virtuous6 import app


async def command(*arguments: str, status: int = 0) -> dict[str, Any]:
    """What `virtuous6 ... --json` prints."""
    done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    assert done.exit_code == status, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def used(story: Story) -> None:
    """Ada calculates and likes it, Grace says hello."""
    await story.told(
        answer("102", when=asked("850", hasToolResult=True)),
        tool_call("calculator", {"expression": "850 * 12 / 100"}, when=asked("850")),
        answer("Hello Grace.", when=asked("Hello")),
    )
    liked = await story.ask("What is 12 percent of 850?")
    await story.rate(liked, "positive")
    await story.whispers()
    await story.ask("Hello, what can you do?", GRACE)
    await story.idle()


async def test_runs_go_out_of_one_home_and_into_another(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await used(story)
    everything, hers = str(tmp_path / "all.jsonl.gz"), str(tmp_path / "ada.jsonl")

    assert (await command("runs", "export", everything))["runs"] == 2
    about = await command("runs", "export", "--user", ADA, hers)
    assert about["runs"] == 1
    # The thumb on an answer that can be checked is a question of the exam, too.
    assert about["kept"] == {
        "person": 1, "run": 1, "message": 2, "feedback": 1, "exam_question": 1,
    }  # fmt: skip
    kept = [json.loads(line) for line in Path(about["everything"]).read_text().splitlines()]
    assert kept[0]["person"]["user_id"] == ADA
    assert [line["feedback"]["value"] for line in kept if "feedback" in line] == [1.0]

    [line] = Path(hers).read_text().splitlines()
    written = json.loads(line)
    [run] = [run for run in await story.runs() if run.user_id == ADA]
    assert (written["run_id"], written["request"]) == (run.run_id, run.request)
    assert (written["agent"], written["agent_version"]) == (run.agent, run.agent_version)
    assert [step["name"] for step in written["steps"]] == ["gpt-4.1", "calculator", "gpt-4.1"]
    assert written["steps"][1]["arguments"] == {"expression": "850 * 12 / 100"}
    monkeypatch.setenv("VIRTUOUS6_HOME", str(tmp_path / "another"))
    assert await command("runs", "import", everything) == {"added": 2, "known": 0}
    assert await command("runs", "import", hers) == {"added": 0, "known": 1}


async def test_runs_from_elsewhere_appear_in_the_figures_of_a_running_assistant(
    story: Story, tmp_path: Path
) -> None:
    await used(story)
    exported = tmp_path / "all.jsonl"
    await command("runs", "export", str(exported))
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    for number, line in enumerate(lines):
        line |= {"run_id": f"00000000-0000-4000-8000-00000000000{number}", "user": ADA}
    exported.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert await command("runs", "import", str(exported)) == {"added": 2, "known": 0}

    await story.command("/metrics", "me")
    shown = (await story.whispers(count=2))[-1]["text"]
    assert "Answers: 3\n" in shown


async def test_metrics_and_agents_say_the_same_as_the_workspace(story: Story) -> None:
    await used(story)
    truth = (await story.house.store.metrics(RunQuery())).total

    found = await command("metrics", "--days", "1")

    assert found["total"]["runs"] == truth.runs == 2
    assert found["total"]["input_tokens"] == truth.input_tokens
    assert found["total"]["success_rate"] == 1.0
    assert found["total"]["feedback_up"] == 1
    listed = {row["name"]: row["version"] for row in (await command("agents", "list"))["agents"]}
    pool = story.house.pool.definitions
    assert listed == {name: definition.version for name, definition in pool.items()}
    history = await command("agents", "history", "analyst")
    assert [version["active"] for version in history["versions"]] == [True]


async def test_doctor_finds_a_working_assistant_ready(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in story.environment().items():
        monkeypatch.setenv(name, value)

    found = await command("doctor")

    assert found["ready"] is True
    checks = {check["name"]: check for check in found["checks"]}
    assert {check["status"] for check in found["checks"]} <= {"ok", "note", "skipped"}, checks
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-wrong")
    found = await command("doctor", status=1)
    assert found["ready"] is False
    assert "SLACK_BOT_TOKEN" in json.dumps(found)
    assert "xoxb-wrong" not in json.dumps(found)
