"""Tools of MCP servers, named in a configuration file; off unless there is one.

The file is YAML or JSON:

    servers:
      tracker:                          # its tools are called tracker_...
        command: tracker-mcp            # a program on this machine, or
        args: [--read-only]
        env: {TRACKER_TOKEN: $TRACKER_TOKEN}
      wiki:
        url: https://wiki.example/mcp   # a server elsewhere
        headers: {Authorization: Bearer $WIKI_TOKEN}
        timeout_s: 20
        agents: [generalist, triage]    # who may call them; without this the generalist
        reads: [search, open_page]      # these only read, though the server does not say so

A tool that may change something is called without a question only as long as the model has read
nothing that others wrote (`agents.tools.calling`), so it is worth saying which only read.

`$NAME` is taken from the environment, so that no secret stands in the file. A program gets only
the variables written here and what any program needs (PATH, HOME ...), never our tokens.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Annotated, Any

import structlog
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agents.ports import ToolContext
from agents.tools import TOOL_NAMES
from agents.tools.base import Effect, EndUnseen, Tool, ToolFailed
from database.errors import ConfigurationError

_START_SECONDS = 20.0
_MAX_NAME = 64
_MAX_DESCRIPTION = 400
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")

_log = structlog.get_logger()

ServerName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]


class McpServer(BaseModel):
    """One server: a program to start (`command`) or an address (`url`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    timeout_s: float = Field(default=30.0, gt=0, le=600)
    agents: tuple[str, ...] = ("generalist",)
    reads: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> "McpServer":
        if (self.command is None) == (self.url is None):
            raise ValueError("give either 'command' or 'url'")
        return self


class McpConfig(BaseModel):
    """The servers by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: dict[ServerName, McpServer]


def read_mcp_config(path: Path) -> dict[str, Any]:
    """What the file named by VIRTUOUS6_MCP_CONFIG says. Raises ConfigurationError."""
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"The MCP configuration {path} cannot be read ({error}). Correct it, or unset "
            "VIRTUOUS6_MCP_CONFIG."
        ) from None
    if not isinstance(read, dict):
        raise ConfigurationError(f"{path}: expected 'servers:' with one entry for each MCP server.")
    return read


@dataclass(frozen=True, slots=True)
class McpServerState:
    """A configured server as far as it can be judged without starting it.

    `reached` is the program's path or the address; `problem` says what to do, '' where it is fine.
    """

    name: str
    reached: str
    problem: str = ""


def check_mcp_config(path: Path) -> list[McpServerState]:
    """Look at every server of the file, starting and asking none; for `doctor`.

    Raises ConfigurationError when the file cannot be read or is not valid.
    """
    return [_state(name, server) for name, server in _servers(read_mcp_config(path)).items()]


def _state(name: str, server: McpServer) -> McpServerState:
    try:
        connection = _connection(name, server)
    except ConfigurationError as error:
        return McpServerState(name, server.url or server.command or "", str(error))
    if server.command is None:
        return McpServerState(name, server.url or "")
    # A program is looked for in the PATH that it is given.
    found = shutil.which(server.command, path=(connection["env"] or {}).get("PATH"))
    if found:
        return McpServerState(name, found)
    return McpServerState(
        name,
        server.command,
        f"The MCP server '{name}' needs the program {server.command}, which cannot be found or "
        "run. Install it, or write its whole path.",
    )


async def load_mcp_tools(config: Mapping[str, Any]) -> list[Tool]:
    """The tools of every configured server that answers, named SERVER_TOOL.

    A server that is away is left out with a logged warning. A tool counts as writing unless its
    server says that it only reads. Raises ConfigurationError when `config` is not valid.
    """
    servers = _servers(config)
    connections = {name: _connection(name, server) for name, server in servers.items()}
    found = await asyncio.gather(
        *(_tools_of(name, connections[name], server) for name, server in servers.items())
    )
    return _without_clashes([tool for tools in found for tool in tools])


def _servers(config: Mapping[str, Any]) -> dict[ServerName, McpServer]:
    try:
        return McpConfig.model_validate(config).servers
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ConfigurationError(
            f"The MCP configuration is wrong at {where or 'the top'}: {problem['msg']}. "
            "Correct the file named by VIRTUOUS6_MCP_CONFIG."
        ) from None


def _connection(name: str, server: McpServer) -> dict[str, Any]:
    if server.command is not None:
        return {
            "transport": "stdio",
            "command": server.command,
            "args": list(server.args),
            "env": _filled(name, server.env) or None,
        }
    return {
        "transport": "streamable_http",
        "url": server.url,
        "headers": _filled(name, server.headers) or None,
        "timeout": server.timeout_s,
        "sse_read_timeout": server.timeout_s,
    }


def _filled(server: str, values: Mapping[str, str]) -> dict[str, str]:
    try:
        return {key: Template(value).substitute(os.environ) for key, value in values.items()}
    except KeyError as missing:
        raise ConfigurationError(
            f"The MCP server '{server}' needs the environment variable {missing}. Set it."
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"The MCP server '{server}' has a lone $ in a value. Write $$ for a dollar sign."
        ) from None


async def _tools_of(name: str, connection: dict[str, Any], server: McpServer) -> list[Tool]:
    # Takes about a second to import, and most houses configure no MCP server.
    from langchain_mcp_adapters.tools import load_mcp_tools as load  # noqa: PLC0415

    try:
        async with asyncio.timeout(max(server.timeout_s, _START_SECONDS)):
            found = await load(None, connection=connection, handle_tool_errors=False)  # type: ignore[arg-type]
        return [_tool(name, server, connection, each) for each in found]
    except Exception as error:  # noqa: BLE001
        # Somebody else's program or network: whatever it raises, the assistant goes on without.
        _log.warning("mcp_server_away", server=name, reason=_first_reason(error))
        return []


def _tool(server_name: str, server: McpServer, connection: dict[str, Any], found: Any) -> Tool:
    name = _NOT_IN_NAMES.sub("_", f"{server_name}_{found.name}")[:_MAX_NAME]
    description = " ".join((found.description or found.name).split())
    reads = found.name in server.reads or (found.metadata or {}).get("readOnlyHint") is True
    effect: Effect = "read" if reads else "write"
    return Tool(
        name=name,
        description=description[:_MAX_DESCRIPTION],
        parameters=found.args_schema,
        effect=effect,
        title=f"Using {server_name}: {found.name}",
        call=_calling(name, found.name, connection, server.timeout_s),
        lent_to=server.agents,
        repeatable=(found.metadata or {}).get("idempotentHint") is True,
    )


def _calling(
    name: str, tool: str, connection: Any, timeout_s: float
) -> Callable[[Mapping[str, Any], ToolContext], Awaitable[str]]:
    async def call(arguments: Mapping[str, Any], context: ToolContext) -> str:
        from langchain_mcp_adapters.sessions import create_session  # noqa: PLC0415 (see _tools_of)

        limit, asked, answer = asyncio.timeout(timeout_s), False, None
        try:
            async with limit, create_session(connection) as session:
                await session.initialize()
                asked = True
                answer = await session.call_tool(tool, dict(arguments))
        except Exception as error:  # noqa: BLE001
            # Somebody else's program or network: its words go to the model, the reply goes on.
            _log.warning("mcp_tool_failed", tool=name, reason=_first_reason(error))
            if answer is None:
                if limit.expired():  # what is cut off may complain of something else than of that
                    error = TimeoutError(f"there was no answer within {timeout_s:g} seconds")
                raise _unanswered(name, asked, error) from None
        if answer is None:  # the session has swallowed why
            raise _unanswered(name, asked, ConnectionError("the connection was closed"))
        text = "\n".join(map(_part, answer.content))
        if answer.isError:
            raise ToolFailed(f"{name} failed: {text or 'it does not say why'}")
        return text or "(the tool returned nothing)"

    return call


_BROKEN = "{name} may or may not have done it: it broke off before it answered ({reason})"
_CLOSED, _TIMED_OUT = -32000, 408
"""Codes of errors that no server has sent: the connection ended, nothing came (mcp.types)."""


def _unanswered(name: str, asked: bool, error: BaseException) -> ToolFailed:
    """What a call without an answer has come to: failed only where nothing can have been done."""
    inner = _innermost(error)
    code = getattr(getattr(inner, "error", None), "code", _CLOSED)
    status = getattr(getattr(inner, "response", None), "status_code", 0)
    refused = code not in (_CLOSED, _TIMED_OUT) or 400 <= status < 500
    reason = _first_reason(error)
    if asked and not refused:
        return EndUnseen(_BROKEN.format(name=name, reason=reason))
    return ToolFailed(f"{name} failed: {reason}")


def _part(block: Any) -> str:
    return str(block.text) if block.type == "text" else f"({block.type} left out)"


def _without_clashes(tools: list[Tool]) -> list[Tool]:
    kept: dict[str, Tool] = {}
    for tool in tools:
        if tool.name in TOOL_NAMES or tool.name in kept:
            _log.warning("mcp_tool_name_taken", tool=tool.name)
        else:
            kept[tool.name] = tool
    return list(kept.values())


def _first_reason(error: BaseException) -> str:
    inner = _innermost(error)
    return str(inner) or type(inner).__name__


def _innermost(error: BaseException) -> BaseException:
    """Task groups wrap what really happened."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
