import asyncio
import contextlib
import gzip
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from agents.definition import load_definition
from database.records import Feedback, Run, random_run_id
from database.store import RECORD, Store
from tests.patience import PATIENCE_S
from virtuous6 import app

ROOT = Path(__file__).resolve().parent.parent

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(home: Path) -> Invoke:
    def run(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == status, result.output
        return result

    return run


def json_of(result: Result) -> dict[str, Any]:
    """What was printed on standard output: one JSON object and nothing else."""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def keep(home: Path, workspace: str, *facts: Run | Feedback) -> None:
    store = Store.open(home, workspace)
    store.append(*facts)
    await store.close()


LINE: dict[str, Any] = {
    "run_id": random_run_id(), "parent_run_id": None, "kind": "reply",
    "started_at": "2026-11-20T10:00:00Z", "duration_ms": 900, "user": "U7", "channel": "C1",
    "request": "hello", "task_type": None, "agent": "generalist", "agent_version": None,
    "model": "m", "steps": [], "outcome": {"success": True, "score": None, "source": "check"},
    "reply": "hi",
}  # fmt: skip


def test_runs_go_in_and_out(invoke: Invoke, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl.gz"
    source.write_text(json.dumps(LINE) + "\n")
    assert json_of(invoke("runs", "import", str(source), "--json")) == {"added": 1, "known": 0}
    assert json_of(invoke("runs", "import", str(source), "--json")) == {"added": 0, "known": 1}
    assert json_of(invoke("runs", "export", str(target), "--json"))["runs"] == 1
    (line,) = gzip.decompress(target.read_bytes()).splitlines()
    assert json.loads(line)["request"] == "hello"


def test_the_audit_log_is_listed_and_verified(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    assert json_of(invoke("audit", "verify", "--json")) == {
        "ok": True, "entries": 0, "head": "", "broken": [],
    }  # fmt: skip
    assert "Nothing was decided yet." in invoke("audit", "list").output
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(LINE) + "\n")
    invoke("runs", "import", str(source))
    invoke("runs", "export", str(target))
    invoke("runs", "export", "--user", "U7ADA", str(tmp_path / "hers.jsonl"))
    invoke("policy", "set", "speak", "mentions")
    invoke("runs", "forget", "--user", "U7")
    entries = json_of(invoke("audit", "list", "--json"))["entries"]
    assert [(e["seq"], e["actor"], e["action"]) for e in entries] == [
        (1, "command line", "runs imported"),
        (2, "command line", "runs exported"),
        (3, "U7ADA", "their data exported"),
        (4, "command line", "policy set"),
        (5, "privacy", "person forgotten"),
    ]
    assert "The audit log is whole: 5 entries." in invoke("audit", "verify").output
    listed = invoke("audit", "list", "--since", "3", "--limit", "1").output
    assert "policy set" in listed
    assert "imported" not in listed
    with contextlib.closing(sqlite3.connect(home / RECORD)) as connection:
        connection.execute("UPDATE audit SET action = 'nothing' WHERE seq = 2")
        connection.commit()
    report = json_of(invoke("audit", "verify", "--json", status=1))
    assert (report["ok"], [b["seq"] for b in report["broken"]]) == (False, [2])
    assert "it was changed" in invoke("audit", "verify", status=1).output


def test_a_bad_line_is_named_and_nothing_is_kept(invoke: Invoke, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(LINE) + "\n" + json.dumps(LINE | {"agnet": "x"}) + "\n")
    result = invoke("runs", "import", str(source), status=1)
    assert "2" in result.stderr
    assert "agnet" in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert result.stdout == ""
    out = tmp_path / "out.jsonl"
    assert json_of(invoke("runs", "export", str(out), "--json"))["runs"] == 0


def test_errors_with_json_are_one_object_too(invoke: Invoke, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.jsonl")
    assert "error" in json_of(invoke("runs", "import", missing, "--json", status=1))


def test_a_person_is_forgotten(invoke: Invoke, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(LINE) + "\n")
    invoke("runs", "import", str(source))
    report = json_of(invoke("runs", "forget", "--user", "U7", "--json"))
    assert report["user_id"] == "U7"
    assert report["rows"]["runs"] == 1
    invoke("runs", "export", str(out))
    assert "hello" not in out.read_text()


def test_nobody_is_forgotten_in_words(invoke: Invoke) -> None:
    assert "Nothing is kept of U404" in invoke("runs", "forget", "--user", "U404").stdout


def test_an_unknown_price_is_never_nothing(invoke: Invoke, home: Path) -> None:
    home.mkdir(parents=True)
    run = Run("r1", "x", "cook", started_at=time.time(), duration_ms=100.0, reply="y")
    asyncio.run(keep(home, "T1", run))
    shown = invoke("metrics").stdout
    assert "unknown" in shown
    assert "$0" not in shown


def test_a_missing_file_is_said_plainly(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    said = invoke("runs", "import", str(path), status=1).stderr
    assert said == f"{path} could not be read: No such file or directory. Nothing of it was kept.\n"
    out = tmp_path / "no" / "folder" / "out.jsonl"
    assert "Errno" not in invoke("runs", "export", str(out), status=1).stderr
    path.write_text("a file where a folder is named")
    assert "Not a directory" in invoke("runs", "export", str(path / "out"), status=1).stderr


def test_setup_puts_the_command_into_the_environment(tmp_path: Path) -> None:
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    command = folder / "virtuous6"
    made = ["make", "-s", f"VENV={tmp_path / 'venv'}", str(command)]
    subprocess.run(made, cwd=ROOT, check=True, capture_output=True)
    # from a folder where Python would find none of our packages
    done = subprocess.run([command, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: virtuous6 [OPTIONS]" in done.stdout


def test_metrics_count_what_is_recorded(invoke: Invoke, home: Path) -> None:
    home.mkdir(parents=True)
    run = Run("r1", "x", "cook", started_at=time.time(), duration_ms=100.0, reply="y")
    up = Feedback("f1", "r1", "rating", 1.0, created_at=time.time())
    summary = Run("r2", "", "memory", kind="review", started_at=time.time(), input_tokens=9,
                  cost_usd=0.25)  # fmt: skip
    asyncio.run(keep(home, "T1", run, up, summary))
    found = json_of(invoke("metrics", "--days", "1", "--json"))
    assert found["days"] == 1
    assert found["total"]["runs"] == 1
    assert found["total"]["success_rate"] == 1.0
    assert [row["label"] for row in found["by_agent"]] == ["cook"]
    assert found["behind"]["cost_usd"] == 0.25
    shown = invoke("metrics").stdout
    assert "cook" in shown
    assert "Besides, for summaries, steps of workflows and goals: 9 tokens, $0.2500" in shown


def test_several_workspaces_need_a_name(invoke: Invoke, home: Path) -> None:
    home.mkdir(parents=True)
    for workspace in ("T1", "T2"):
        asyncio.run(keep(home, workspace, Run(workspace, "x", "cook", reply="y", started_at=1.0)))
    result = invoke("agents", "list", status=2)
    assert "T1, T2" in result.stderr
    assert "--workspace" in result.stderr
    assert json_of(invoke("--workspace", "T2", "agents", "list", "--json"))["agents"]


def test_agents_are_listed_shown_and_exported(invoke: Invoke, tmp_path: Path) -> None:
    rows = json_of(invoke("agents", "list", "--json"))["agents"]
    names = {row["name"] for row in rows}
    assert "generalist" in names
    shown = json_of(invoke("agents", "show", "generalist", "--json"))
    assert shown["body"]["name"] == "generalist"
    versions = json_of(invoke("agents", "history", "generalist", "--json"))["versions"]
    assert [v["version"] for v in versions] == [shown["version"]]
    folder = tmp_path / "agents"
    invoke("agents", "export", str(folder))
    exported = {path.stem: load_definition(path) for path in folder.glob("*.yaml")}
    assert set(exported) == names
    assert exported["generalist"].version == shown["version"]
    assert "system_prompt: |" in (folder / "generalist.yaml").read_text()


def test_an_unknown_agent_fails_in_one_line(invoke: Invoke) -> None:
    result = invoke("agents", "show", "nobody", status=1)
    assert result.stdout == ""
    assert "nobody" in result.stderr
    assert result.stderr.count("\n") == 1


def test_databases_are_migrated_and_checked(invoke: Invoke, home: Path) -> None:
    assert json_of(invoke("db", "check", "--json", status=1))["ok"] is False
    assert all(json_of(invoke("db", "migrate", "--json"))["applied"].values())
    assert not any(json_of(invoke("db", "migrate", "--json"))["applied"].values())
    assert json_of(invoke("db", "check", "--json"))["ok"] is True
    (home / "record.db").write_bytes(b"no database at all, but long enough to be read" * 50)
    assert "record.db" in invoke("db", "check", status=1).stdout


def test_bad_configuration_is_one_line_and_status_2(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "nonsense")
    result = invoke("doctor", status=2)
    assert result.stderr.startswith("OPENAI_BASE_URL")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("model", "pull", "huge"), ("nonsense",), ("serve", "--mode", "carrier-pigeon")]
)
def test_wrong_usage_is_status_2(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    invoke(*arguments, status=2)


def test_models_are_listed(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRTUOUS6_MODELS_DIR", str(tmp_path))
    found = json_of(invoke("model", "list", "--json"))
    assert {row["name"]: row["installed"] for row in found["models"]} == {
        "small": False, "tiny": False,
    }  # fmt: skip


def test_doctor_says_what_is_missing_and_how_to_get_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VIRTUOUS6_MODELS_DIR", str(tmp_path))
    found = json_of(invoke("doctor", "--json", status=1))
    checks = {check["name"]: check for check in found["checks"]}
    assert found["ready"] is False
    assert "model pull" in checks["model"]["advice"]
    assert checks["packages"]["status"] == "ok"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    found = json_of(invoke("doctor", "--json", status=1))
    checks = {check["name"]: check for check in found["checks"]}
    assert "http://127.0.0.1:9/v1 does not answer" in checks["model"]["detail"]
    assert "OPENAI_BASE_URL" in " ".join(invoke("doctor", status=1).stdout.split())


def test_bolt_does_not_warn_of_the_token_we_read() -> None:
    code = (
        "import logging; from command_line.output import log_to_standard_error;"
        "log_to_standard_error(logging.INFO);"
        "from slack_bolt.async_app import AsyncApp;"
        "from slack_sdk.web.async_client import AsyncWebClient;"
        "AsyncApp(client=AsyncWebClient(token='xoxb-x'), request_verification_enabled=False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"SLACK_BOT_TOKEN": "xoxb-x"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_log_names_nobody() -> None:
    """Neither ours nor a library's, nor an error in either; the same person can be followed."""
    code = (
        "import logging, structlog; from command_line.output import log_to_standard_error;"
        "log_to_standard_error(logging.INFO); log = structlog.get_logger();"
        "log.info('not_answered', user='U0123ABCD', channel='C0123ABCD', thread='1.0:W0123ABCD');"
        "log.warning('not_said', error='<@U0123ABCD> is not in the channel, UTF8 or not');"
        "logging.getLogger('lib').warning('U0123ABCD is unknown');"
        "\ntry:\n    raise KeyError('U0123ABCD')\n"
        "except KeyError:\n    log.exception('job_failed')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "0123ABCD" not in done.stderr.replace("C0123ABCD", "")
    assert {"C0123ABCD", "UTF8"} <= set(re.findall(r"\w+", done.stderr))
    digests = re.findall(r"person-([0-9a-f]{8})", done.stderr)
    assert len(digests) >= 5
    assert len(set(digests)) == 2
    again = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not set(digests) & set(re.findall(r"person-([0-9a-f]{8})", again.stderr))


def test_help_and_doctor_load_nothing_heavy() -> None:
    code = (
        "import sys, virtuous6, orchestrator.health, orchestrator.administration;"
        "heavy = {'langchain_core', 'langchain_openai', 'openai', 'slack_bolt', 'tokenizers'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_the_demo_prints_one_address_and_stops_cleanly(home: Path) -> None:
    arguments = ("virtuous6.py", "demo", "--model", "none", "--port", "0", "--no-browser")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env=os.environ | {"VIRTUOUS6_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(2 * PATIENCE_S):
            lines: list[str] = []
            while not any("http://" in line for line in lines):
                line = (await process.stdout.readline()).decode()
                assert line, (await process.communicate())[1].decode()
                lines.append(line)
            url = lines[-1].split()[-1]
            async with httpx.AsyncClient(base_url=url) as client:
                assert (await client.get("/")).status_code == 200
                assert (await client.get("/healthz")).json()["app_connected"] is True
            process.send_signal(signal.SIGINT)
            rest, errors = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, errors.decode()
    assert "Traceback" not in errors.decode()
    assert "http://" not in rest.decode()
    assert (home / "record.db").is_file()


def test_policy_is_shown_and_set(invoke: Invoke) -> None:
    shown = json_of(invoke("policy", "show", "--json"))
    assert {"key": "speak", "value": "threads", "default": "threads"}.items() <= next(
        entry for entry in shown["policy"] if entry["key"] == "speak"
    ).items()
    set_to = json_of(invoke("--as", "U0ADA", "policy", "set", "speak.C1", "mentions", "--json"))
    assert (set_to["key"], set_to["value"], set_to["set_by"]) == ("speak.C1", "mentions", "U0ADA")
    invoke("policy", "set", "person_at_once", "7")
    found = json_of(invoke("policy", "show", "--json"))
    assert {e["key"]: e["value"] for e in found["policy"]}["speak.C1"] == "mentions"
    assert [(e["key"], e["set_by"]) for e in found["history"]] == [
        ("speak.C1", "U0ADA"),
        ("person_at_once", "command line"),
    ]
    assert "speak.C1" in invoke("policy", "show").stdout
    refused = invoke("policy", "set", "speak", "loudly", status=1)
    assert "must be one of mentions, threads, everything" in refused.stderr
