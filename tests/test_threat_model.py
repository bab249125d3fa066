"""The threat model names the tests that guard each way in: they exist, and none is left out."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WAYS_IN = (
    "payload", "HTTP request", "Socket", "Message", "direct message", "Mention", "Thread", "Edit",
    "File", "Reaction", "Slash command", "Button", "Modal", "App Home", "OAuth", "install page",
    "workflow", "Agent YAML", "Runs import", "MCP server", "Model output", "Model server",
    "Environment", "Command line", "Database file", "Local workspace page", "Secret",
    "Another workspace",
)  # fmt: skip


def rows() -> dict[str, str]:
    """The tests that guard each way in, as the table writes them."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition("## Threat model\n")[2].partition("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return {row[0].strip(): row[-1] for row in cells[2:]}


def functions_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


@pytest.mark.parametrize("way_in", rows())
def test_each_way_in_is_guarded_by_tests_that_exist(way_in: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", rows()[way_in])
    assert named
    assert [f"{path}::{name}" for path, name in named if name not in functions_in(path)] == []


def test_no_way_in_is_left_out() -> None:
    said = " ".join(rows()).lower()
    assert [way for way in WAYS_IN if way.lower() not in said] == []
