"""The tools that agents may name, one module each."""

from collections.abc import Mapping
from types import MappingProxyType

from agents.tools.ask_person import ASK_PERSON
from agents.tools.base import Tool
from agents.tools.calculator import CALCULATOR
from agents.tools.date_time import DATE_TIME
from agents.tools.read_file import READ_FILE
from agents.tools.run_workflow import RUN_WORKFLOW
from agents.tools.search_messages import SEARCH_MESSAGES
from agents.tools.spawn_specialist import SPAWN_SPECIALIST

CATALOGUE: Mapping[str, Tool] = MappingProxyType(
    {
        tool.name: tool
        for tool in (
            ASK_PERSON,
            CALCULATOR,
            DATE_TIME,
            READ_FILE,
            RUN_WORKFLOW,
            SEARCH_MESSAGES,
            SPAWN_SPECIALIST,
        )
    }
)
"""Every tool of the house; MCP servers may add more (agents/mcp_tools.py)."""

TOOL_NAMES = frozenset(CATALOGUE)
