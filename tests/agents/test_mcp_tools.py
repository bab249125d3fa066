"""MCP tools against real servers: programs started and addresses called."""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.definition import parse_definition
from agents.mcp_tools import McpServerState, check_mcp_config, load_mcp_tools, read_mcp_config
from agents.tools.base import EndUnseen, Tool, ToolFailed
from agents.turns import Turn
from agents.universal_agent import UniversalAgent
from database.errors import ConfigurationError
from tests.agents.doubles import ScriptedModel, context, says
from tests.patience import PATIENCE_S

SERVER = '''
import os, sys, time
from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations

port = int(sys.argv[2]) if len(sys.argv) > 2 else 8000
server = FastMCP("shop", port=port, json_response=True)

@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def stock(item: str) -> str:
    """How many are left."""
    return f"7 {item} left"

@server.tool()
def order(item: str, count: int) -> str:
    """Orders some."""
    return f"ordered {count} {item}"

@server.tool()
def fails() -> str:
    raise ValueError("the shop is closed")

@server.tool()
def waits() -> str:
    time.sleep(60)
    return ""

@server.tool()
def breaks() -> str:
    """Does it, and the server dies before it says so."""
    os._exit(1)

@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def knows() -> str:
    return f"{os.environ.get('SHOP_KEY')} {os.environ.get('SLACK_BOT_TOKEN')}"

server.run(transport=sys.argv[1])
'''


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "shop_server.py"
    path.write_text(SERVER, encoding="utf-8")
    return path


def program(script: Path, **more: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [str(script), "stdio"], **more}


async def tools_of(servers: dict[str, Any]) -> dict[str, Tool]:
    return {tool.name: tool for tool in await load_mcp_tools({"servers": servers})}


async def test_a_program_lends_its_tools(script: Path) -> None:
    tools = await tools_of({"shop": program(script)})
    assert {name: tool.effect for name, tool in tools.items()} == {
        "shop_stock": "read",
        "shop_order": "write",
        "shop_fails": "write",
        "shop_waits": "write",
        "shop_breaks": "write",
        "shop_knows": "read",
    }
    stock = tools["shop_stock"]
    assert stock.description == "How many are left."
    assert stock.parameters["required"] == ["item"]
    assert stock.foreign
    assert await stock.call({"item": "lamps"}, context()) == "7 lamps left"
    with pytest.raises(ToolFailed, match="the shop is closed"):
        await tools["shop_fails"].call({}, context())


async def test_the_configuration_may_say_what_only_reads(script: Path) -> None:
    tools = await tools_of({"shop": program(script, reads=["waits"])})
    assert [tools[f"shop_{name}"].effect for name in ("waits", "order")] == ["read", "write"]


async def test_wrong_arguments_are_told_to_the_model(script: Path) -> None:
    tools = await tools_of({"shop": program(script)})
    with pytest.raises(ToolFailed, match="count"):
        await tools["shop_order"].call({"item": "cup"}, context())


async def test_a_slow_tool_is_given_up(script: Path) -> None:
    tools = await tools_of({"shop": program(script, timeout_s=1.5)})
    with pytest.raises(EndUnseen, match=r"no answer within 1\.5 seconds"):
        await tools["shop_waits"].call({}, context())


async def test_a_program_that_dies_in_the_middle_may_have_done_it(script: Path) -> None:
    tools = await tools_of({"shop": program(script)})
    with pytest.raises(EndUnseen, match="may or may not have done it"):
        await tools["shop_breaks"].call({}, context())


async def test_a_program_that_cannot_be_asked_has_done_nothing(script: Path) -> None:
    tools = await tools_of({"shop": program(script)})
    script.write_text("pass", encoding="utf-8")
    with pytest.raises(ToolFailed) as failed:
        await tools["shop_order"].call({"item": "cup", "count": 1}, context())
    assert not isinstance(failed.value, EndUnseen)


async def test_a_program_sees_what_is_written_for_it_and_no_token_of_ours(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "key-1")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    tools = await tools_of({"shop": program(script, env={"SHOP_KEY": "$MY_KEY"})})
    assert await tools["shop_knows"].call({}, context()) == "key-1 None"


async def test_a_server_that_is_away_does_not_stop_the_others(script: Path) -> None:
    tools = await tools_of(
        {
            "gone": {"command": "/no/such/program"},
            "dumb": {"command": sys.executable, "args": ["-c", "pass"]},
            "far": {"url": "http://127.0.0.1:9/mcp"},
            "shop": program(script),
        }
    )
    assert {name.split("_")[0] for name in tools} == {"shop"}


async def test_a_tool_cannot_take_the_name_of_one_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "server.py"
    path.write_text(
        SERVER.replace("def stock", "def file").replace("def order", "def page"), encoding="utf-8"
    )
    tools = await tools_of({"read": program(path)})
    assert "read_file" not in tools
    assert "read_page" in tools


@pytest.fixture
async def address(script: Path) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        "streamable-http",
        str(port),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await reachable(port):  # noqa: ASYNC110 - another process's port
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def reachable(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_a_server_elsewhere_lends_its_tools(address: str) -> None:
    tools = await tools_of({"shop": {"url": address}})
    assert await tools["shop_stock"].call({"item": "lamps"}, context()) == "7 lamps left"


async def test_a_server_elsewhere_that_dies_in_the_middle_may_have_done_it(address: str) -> None:
    tools = await tools_of({"shop": {"url": address}})
    with pytest.raises(EndUnseen, match="may or may not have done it"):
        await tools["shop_breaks"].call({}, context())
    with pytest.raises(ToolFailed) as gone:
        await tools["shop_order"].call({"item": "cup", "count": 1}, context())
    assert not isinstance(gone.value, EndUnseen)


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ({"shop": {}}, "either 'command' or 'url'"),
        ({"shop": {"command": "a", "url": "http://b"}}, "either 'command' or 'url'"),
        ({"shop": {"comand": "a"}}, "servers.shop.comand"),
        ({"Shop!": {"command": "a"}}, "Shop!"),
        ({"shop": {"url": "ftp://b"}}, "servers.shop.url"),
        ({"shop": {"command": "a", "env": {"A": "$NOT_SET_HERE"}}}, "variable 'NOT_SET_HERE'"),
        ({"shop": {"command": "a", "env": {"A": "5$"}}}, "lone \\$"),
    ],
)
async def test_a_wrong_configuration_is_refused(servers: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        await load_mcp_tools({"servers": servers})


def test_the_file_is_yaml_or_json(tmp_path: Path) -> None:
    config = {"servers": {"shop": {"command": "shop-mcp"}}}
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    assert read_mcp_config(path) == config
    path.write_text("servers:\n  shop: {command: shop-mcp}\n", encoding="utf-8")
    assert read_mcp_config(path) == config


@pytest.mark.parametrize("text", ["servers: [", "", "- a", "a: !!python/name:os.system x"])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mcp.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"mcp\.yaml"):
        read_mcp_config(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="VIRTUOUS6_MCP_CONFIG"):
        read_mcp_config(tmp_path / "none.yaml")


def test_the_file_is_examined_without_starting_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    program = tmp_path / "shop-mcp"
    program.write_text(f"#!/bin/sh\ntouch {started}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    servers = {
        "shop": {"command": "shop-mcp"},
        "gone": {"command": "gone-mcp"},
        "elsewhere": {"command": "shop-mcp", "env": {"PATH": str(tmp_path / "bin")}},
        "wiki": {"url": "https://wiki.example/mcp"},
        "keyless": {"url": "https://a.example/mcp", "headers": {"Authorization": "$NOT_SET_HERE"}},
    }
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"servers": servers}), encoding="utf-8")

    found = {state.name: state for state in check_mcp_config(path)}

    assert found["shop"] == McpServerState("shop", str(program))
    assert found["wiki"] == McpServerState("wiki", "https://wiki.example/mcp")
    assert "gone-mcp, which cannot be found" in found["gone"].problem
    assert "cannot be found" in found["elsewhere"].problem
    assert "NOT_SET_HERE" in found["keyless"].problem
    assert not started.exists()


@pytest.mark.parametrize("text", ["servers: [", "servers: {shop: {comand: a}}"])
def test_examining_a_broken_file_says_what_is_wrong(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mcp.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="VIRTUOUS6_MCP_CONFIG"):
        check_mcp_config(path)


async def test_the_generalist_may_call_them_and_whoever_else_is_named(script: Path) -> None:
    lent = await tools_of({"shop": program(script)})
    named = await tools_of({"shop": program(script, agents=["clerk"])})

    async def offered(agent: str, tools: dict[str, Tool]) -> tuple[str, ...]:
        model = ScriptedModel(says("Yes."))
        body = {"name": agent, "specialty": "x", "description": "x", "system_prompt": "x"}
        running = UniversalAgent(parse_definition(body, agent), model, tools)
        async for _ in running.run([Turn("user", "any lamps left?")], context()):
            pass
        return model.asked[0].tools

    assert "shop_stock" in await offered("generalist", lent)
    assert await offered("clerk", lent) == ()
    assert "shop_stock" in await offered("clerk", named)
    assert await offered("generalist", named) == ()
