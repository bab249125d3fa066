from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
