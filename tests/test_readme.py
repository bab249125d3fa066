"""What the README promises is there."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.settings import environment_names
from virtuous6 import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", environment_names())
def test_every_setting_is_in_the_table(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", README, re.MULTILINE), f"{name} is not in README.md"


def test_no_setting_is_promised_that_is_not_read() -> None:
    promised = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", README, re.MULTILINE))
    assert promised == set(environment_names())


def test_every_command_is_there() -> None:
    table = README.split("## Command line")[1].split("## ")[0]
    for row in re.findall(r"^\| `virtuous6 .*?\|", table, re.MULTILINE):
        words = [code.removeprefix("virtuous6 ").split() for code in re.findall(r"`(.*?)`", row)]
        group = words[0][0]
        for parts in words:
            asked = parts if parts[0] == group else [group, *parts]
            names = [part for part in asked if part.islower() and not part.startswith("-")]
            result = CliRunner().invoke(app, [*names, "--help"])
            assert result.exit_code == 0, f"virtuous6 {' '.join(names)}: {result.output}"


def test_slash_commands_and_pictures_are_there() -> None:
    manifest = json.loads((ROOT / "slack_interface" / "manifest.json").read_text())
    for entry in manifest["features"]["slash_commands"]:
        assert entry["command"] in README
    for entry in manifest["features"]["shortcuts"]:
        assert entry["name"] in README
    for link in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / link).is_file(), link
        assert (ROOT / link).stat().st_size < 300_000
