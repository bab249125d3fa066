"""The configured provider's models and the tools there are, for whoever starts the assistant."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from agents.local_model import EmbeddedModel
from agents.mcp_tools import load_mcp_tools, read_mcp_config
from agents.model_settings import ModelSettings
from agents.models import Models
from agents.tools import CATALOGUE
from agents.tools.base import Tool
from agents.weights import installed, path_of
from database.errors import ConfigurationError
from orchestrator.ports import ModelsPort
from orchestrator.settings import Settings

UNKNOWN_CONCURRENCY = 16
"""Calls at once to models that were handed in."""


async def models_of(settings: Settings, weights: str | None, stack: AsyncExitStack) -> Models:
    """The configured provider's models, or else the embedded one, started."""
    if settings.embedded:
        name = weights or _best_installed(settings)
        embedded = EmbeddedModel(path_of(name, settings.models_dir), name)
        await stack.enter_async_context(embedded)
        models = Models(embedded.settings)
    else:
        models = Models(
            ModelSettings(
                base_url=settings.openai_base_url,
                api_key=settings.openai_api_key,
                strong=settings.strong_model,
                fast=settings.fast_model,
            )
        )
    stack.push_async_callback(models.aclose)
    return models


def slots_of(models: ModelsPort) -> int:
    """How many calls the provider takes at once."""
    return models.settings.concurrency if isinstance(models, Models) else UNKNOWN_CONCURRENCY


def reads_slowly(models: ModelsPort) -> bool:
    """Whether it is the embedded model, which shares this machine with everything else."""
    return isinstance(models, Models) and models.settings.provider == "embedded"


async def tools_of(settings: Settings) -> Mapping[str, Tool]:
    """The house's own tools and, where configured, those of MCP servers."""
    if settings.virtuous6_mcp_config is None:
        return CATALOGUE
    found = await load_mcp_tools(read_mcp_config(settings.virtuous6_mcp_config.expanduser()))
    return {**CATALOGUE, **{tool.name: tool for tool in found}}


def _best_installed(settings: Settings) -> str:
    """The weights to use when none are named. Raises ConfigurationError when there are none."""
    there = installed(settings.models_dir)
    for name in ("small", "tiny"):
        if name in there:
            return name
    raise ConfigurationError(
        "There is no model to answer with: set OPENAI_API_KEY or OPENAI_BASE_URL, or fetch the "
        "embedded model with `virtuous6 model pull small`."
    )
