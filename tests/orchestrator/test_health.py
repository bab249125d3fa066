from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from database.engine import Engine
from database.installations import Installation, InstallationRows
from orchestrator.health import CHECKOUT, Check, examine, ready, shadowed
from orchestrator.settings import load_settings
from slack_interface.local_workspace import LocalWorkspace
from tests.model_server.server import ScriptedModel


def whole(home: Path) -> str:
    return "fine"


def broken(home: Path) -> str:
    raise ValueError("record.db is damaged")


@pytest.fixture
async def workspace() -> AsyncIterator[LocalWorkspace]:
    async with LocalWorkspace() as workspace:
        yield workspace


def test_a_package_in_the_place_of_ours_is_named() -> None:
    def find(name: str) -> Path | None:
        return Path("/elsewhere/agents") if name == "agents" else CHECKOUT / name

    (check,) = shadowed(find)
    assert check.name == "package agents"
    assert "/elsewhere/agents" in check.detail
    assert "Uninstall" in check.advice
    assert not ready([check])


def test_only_what_is_needed_makes_unready() -> None:
    assert ready([Check("a", "ok", ""), Check("b", "missing", "", needed=False)])
    assert not ready([Check("a", "missing", "")])


async def test_all_is_well_when_everything_answers(
    workspace: LocalWorkspace, scripted_model: ScriptedModel, home: Path
) -> None:
    settings = load_settings(
        slack_api_url=workspace.api_url,
        slack_bot_token=workspace.bot_token,
        slack_app_token=workspace.app_token,
        openai_base_url=scripted_model.base_url,
        virtuous6_home=home,
    )
    checks = {check.name: check for check in await examine(settings, whole)}
    assert checks["Slack"].status == "ok"
    assert "T0VIRTUOUS" in checks["Slack"].detail
    assert checks["model"].status == "ok"
    assert ready(list(checks.values()))


async def test_each_thing_that_fails_says_what_to_do(workspace: LocalWorkspace, home: Path) -> None:
    settings = load_settings(
        slack_api_url=workspace.api_url,
        slack_bot_token="xoxb-wrong",
        openai_base_url="http://127.0.0.1:9/v1",
        virtuous6_home=home,
    )
    checks = {check.name: check for check in await examine(settings, broken)}
    for name, advice in (
        ("Slack", "SLACK_BOT_TOKEN"),
        ("Socket Mode", "connections:write"),
        ("model", "OPENAI_BASE_URL"),
        ("database", "db check"),
    ):
        assert checks[name].status != "ok"
        assert advice in checks[name].advice
    assert not ready(list(checks.values()))


async def test_a_signing_secret_is_a_way_in_too(workspace: LocalWorkspace, home: Path) -> None:
    settings = load_settings(
        slack_api_url=workspace.api_url,
        slack_bot_token=workspace.bot_token,
        slack_signing_secret=workspace.signing_secret,
        openai_base_url="http://127.0.0.1:9/v1",
        virtuous6_home=home,
    )
    checks = {check.name: check for check in await examine(settings, whole)}
    assert checks["HTTP mode"].status == "ok"
    assert workspace.signing_secret not in str(checks)


async def kept(home: Path, *installations: Installation) -> None:
    engine = Engine.open(home)
    for installation in installations:
        await InstallationRows(engine).save(installation)
    await engine.close()


async def test_each_workspace_that_installed_the_app_is_looked_at(
    workspace: LocalWorkspace, home: Path
) -> None:
    token = workspace.bot_token
    fine = Installation("T0VIRTUOUS", "Local", token, scopes=("chat:write", "commands"))
    await kept(
        home,
        fine,
        Installation("T0GONE", "Gone", "xoxb-wrong", scopes=("chat:write", "commands")),
        replace(fine, holder="T0OLD", scopes=("chat:write",)),
    )
    settings = load_settings(
        slack_api_url=workspace.api_url,
        slack_app_token=workspace.app_token,
        slack_client_id="1.2",
        slack_client_secret="a secret",
        virtuous6_public_url="https://bot.example.com/",
        openai_base_url="http://127.0.0.1:9/v1",
        virtuous6_home=home,
    )
    found = await examine(settings, whole, ("chat:write", "commands"))
    checks = {check.name: check for check in found}
    assert "Slack" not in checks, "no single workspace's token is missing"
    assert checks["installing"].detail == "https://bot.example.com/slack/install"
    assert (checks["T0VIRTUOUS"].status, checks["T0VIRTUOUS"].detail) == ("ok", "Local")
    assert checks["T0OLD"].detail == "lacks commands"
    assert "invalid_auth" in checks["T0GONE"].detail
    for name in ("T0OLD", "T0GONE"):
        assert "again" in checks[name].advice
    for secret in ("a secret", "xoxb", token):
        assert secret not in str(checks)
    (home / "secret.key").unlink()
    checks = {check.name: check for check in await examine(settings, whole)}
    assert "another key" in checks["workspaces"].advice
    assert not (home / "secret.key").exists(), "doctor changes nothing"


@pytest.mark.parametrize(
    ("given", "status", "says"),
    [
        ({"slack_client_id": "1.2"}, "failed", "SLACK_CLIENT_SECRET"),
        ({"slack_client_secret": "s"}, "failed", "SLACK_CLIENT_ID"),
        ({"slack_client_id": "1.2", "slack_client_secret": "s"}, "missing", "oauth_redirect"),
    ],
)
async def test_what_is_missing_to_install_the_app_is_said(
    home: Path, given: dict[str, str], status: str, says: str
) -> None:
    settings = load_settings(**given, openai_base_url="http://127.0.0.1:9/v1", virtuous6_home=home)
    checks = {check.name: check for check in await examine(settings, whole)}
    assert checks["installing"].status == status
    assert says in checks["installing"].advice


async def test_mcp_servers_are_looked_at_where_there_are_any(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "mcp.yaml"
    settings = load_settings(
        virtuous6_mcp_config=config, openai_base_url="http://127.0.0.1:9/v1", virtuous6_home=home
    )
    for text, status, says in (
        ("servers: {wiki: {url: http://127.0.0.1:9/mcp}}", "ok", "wiki"),
        ("servers: {tracker: {command: no-such-program-here}}", "failed", "no-such-program-here"),
        ("servers: 7", "failed", "VIRTUOUS6_MCP_CONFIG"),
    ):
        config.write_text(text)
        checks = {check.name: check for check in await examine(settings, whole)}
        assert checks["MCP"].status == status
        assert says in checks["MCP"].detail + checks["MCP"].advice
