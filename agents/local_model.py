"""The embedded model: an OpenAI-compatible server inside this process, on loopback."""

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from agents.model_settings import ModelSettings
from database.errors import ConfigurationError

_log = structlog.get_logger(__name__)

CONTEXT_TOKENS = 8192
"""What one conversation may hold; the models shipped in the catalogue were trained on as much."""

_SLOTS = 2
_PROMPT_CACHE_MIB = 512
"""Where prompts stay while other agents answer: for the small model 28 KiB a token, so that the
prompts of all shipped agents (190 MiB) and 11,000 tokens of conversations fit. Grown as needed."""

_QUIET = -1


class EmbeddedModel:
    """Weights in GGUF form, served while the context is open; `base_url` is the address to use.

    Raises:
        ConfigurationError: on entering, when the weights are missing or cannot be used.
    """

    def __init__(self, weights: Path, name: str = "embedded") -> None:
        self.weights = weights
        self.name = name
        self.base_url = ""
        self._server: Any = None

    async def __aenter__(self) -> Self:
        if not self.weights.is_file():
            raise ConfigurationError(
                f"The weights of the embedded model are missing ({self.weights}). Fetch them with "
                "`virtuous6 model pull small`, or set OPENAI_API_KEY or OPENAI_BASE_URL to use "
                "another model."
            )
        # the constructor returns when the model is loaded, seconds later
        self._server = await asyncio.to_thread(_serve, self.weights, self.name)
        self.base_url = f"{self._server.listening_address}/v1"
        _log.info("embedded_model_started", model=self.name, address=self.base_url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # shielded, so that a second Ctrl-C does not leave a half-stopped server behind
        await asyncio.shield(asyncio.to_thread(self._stop))

    @property
    def settings(self) -> ModelSettings:
        """How to call it."""
        return ModelSettings.embedded(self.base_url, self.name)

    def _stop(self) -> None:
        # the server has no stop method: it ends with its last reference, and joins its threads
        self._server = None


def _serve(weights: Path, name: str) -> Any:
    # spinning threads make it ten times slower as soon as anything else wants the cores; the
    # library reads this when it is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        # here and not on top: OMP_WAIT_POLICY must be set before
        import xllamacpp  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "The embedded model does not run on this machine: xllamacpp has no build for it. Set "
            "OPENAI_API_KEY or OPENAI_BASE_URL to use another model."
        ) from None
    try:
        return xllamacpp.Server(_parameters(xllamacpp, weights, name))
    except RuntimeError as error:
        raise ConfigurationError(
            f"The embedded model could not be loaded from {weights} ({error}). If memory is "
            "short, use the model `tiny`; if the file is broken, delete it and run `virtuous6 "
            "model pull small`."
        ) from None


def _parameters(xllamacpp: Any, weights: Path, name: str) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.model_alias = {name}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = CONTEXT_TOKENS * _SLOTS
    parameters.n_parallel = _SLOTS
    parameters.cpuparams.n_threads = os.cpu_count() or 1
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    parameters.verbosity = _QUIET
    parameters.endpoint_slots = False  # it would show the prompts to every user of this machine
    parameters.ui = False
    return parameters
