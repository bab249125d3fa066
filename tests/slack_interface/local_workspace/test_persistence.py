"""A second start remembers; a broken state file is refused with what to do."""

import asyncio
import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.errors import WorkspaceError
from slack_interface.local_workspace.persistence import SnapshotError
from tests.patience import PATIENCE_S
from tests.slack_interface.local_workspace.conftest import Script, until


async def test_a_second_start_remembers(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "workspace.json"
    async with LocalWorkspace(state_file=file, pacing=False) as workspace:
        script = Script(workspace)
        client = AsyncWebClient(workspace.bot_token, base_url=workspace.api_url)
        asked = await script.say("@assistant", "ada", "question")
        started = await client.chat_startStream(
            channel="D0ADA", thread_ts=asked["ts"], markdown_text="half an ans"
        )
        await client.files_upload_v2(channel="C0GENERAL", filename="a.txt", content="abc")
        home = {"type": "home", "blocks": [{"type": "divider"}]}
        await client.views_publish(user_id="U0ADA", view=home)
        await client.agents_sessions_setStatus(
            channel_id="D0ADA", thread_ts=asked["ts"], status="active", title="Q"
        )
        tokens = workspace.environment["SLACK_BOT_TOKEN"], workspace.app_token
        await script.http.aclose()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["workspace.json"]
    async with LocalWorkspace(state_file=file, pacing=False) as workspace:
        script = Script(workspace)
        assert (workspace.bot_token, workspace.app_token) == tokens
        thread = await script.messages("D0ADA", f"?thread_ts={asked['ts']}")
        assert [m["text"] for m in thread] == ["question", "half an ans"]
        assert "streaming" not in thread[1]
        state = await script.get("/_page/state?user=ada")
        assert state["home"]["blocks"][0]["type"] == "divider"
        assert state["sessions"][f"D0ADA:{asked['ts']}"]["title"] == "Q"
        [shared] = await script.messages("C0GENERAL")
        file_id = shared["files"][0]["id"]
        assert (await script.http.get(f"/_page/file/{file_id}/a.txt")).content == b"abc"
        again = await script.say("@assistant", "ada", "more", asked["ts"])
        assert again["ts"] > started["ts"]
        await script.http.aclose()


async def test_changes_are_written_while_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "workspace.json"
    async with LocalWorkspace(state_file=file) as workspace:
        script = Script(workspace)
        await script.say("#general", "ada", "remember me")
        await until(lambda: file.exists() and "remember me" in file.read_text())
        await script.http.aclose()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"version": 99}'])
def test_a_file_that_is_no_snapshot_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "workspace.json"
    file.write_text(content)
    with pytest.raises(SnapshotError, match="move it away"):
        LocalWorkspace(state_file=file)
    assert file.read_text() == content


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WorkspaceError, match=f"Port {port} cannot be used"):
            LocalWorkspace(port)


async def test_it_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--json", "--bot-token", "xoxb-given", "--no-pacing"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "slack_interface.local_workspace",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        settings = json.loads(line)
        client = AsyncWebClient("xoxb-given", base_url=settings["SLACK_API_URL"])
        assert (await client.auth_test())["team_id"] == "T0VIRTUOUS"
    finally:
        process.terminate()
        await process.wait()
