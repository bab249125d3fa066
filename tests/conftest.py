"""What every test may use, and what none may do: reach the network."""

import asyncio
import ipaddress
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn.server
from hypothesis import HealthCheck, settings

from tests.model_server.server import ScriptedModel
from tests.patience import PATIENCE_S

_connect = socket.socket.connect
_CONFIGURATION = ("SLACK_", "OPENAI_", "SUPABASE_", "VIRTUOUS6_")


def _loopback_only(self: socket.socket, address: Any) -> None:
    """Refuse to connect anywhere but to this machine."""
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = str(address[0])
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise RuntimeError(f"A test tried to reach {host}: tests stay on this machine.")
    _connect(self, address)


class _BriskAsyncio:
    """asyncio for uvicorn, which looks ten times a second whether it may end.

    Nearly every test starts and stops a server; those tenths would add up to minutes.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


vars(uvicorn.server)["asyncio"] = _BriskAsyncio()


def _be_patient() -> None:
    """Nothing fails for being slow: httpx, by itself, gives up after 5 s, Hypothesis after 0.2."""
    usual = vars(httpx)["_config"].DEFAULT_TIMEOUT_CONFIG
    usual.connect = usual.read = usual.write = usual.pool = PATIENCE_S
    # uvicorn hangs up on who was idle for five seconds, which httpx also calls fresh.
    vars(httpx)["_config"].DEFAULT_LIMITS.keepalive_expiry = 1.0
    slow = [HealthCheck.too_slow]
    settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=slow)
    settings.load_profile("steady")  # `--hypothesis-profile default` tries other examples each time


_be_patient()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this machine in no test, and no key of the developer's is used."""
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)
    for name in list(os.environ):
        if name.startswith(_CONFIGURATION) and name != "VIRTUOUS6_MODELS_DIR":
            monkeypatch.delenv(name)


@pytest.fixture
async def scripted_model() -> AsyncIterator[ScriptedModel]:
    """A model server that answers what the test scripts."""
    async with ScriptedModel() as model:
        yield model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, also set in the environment."""
    monkeypatch.setenv("VIRTUOUS6_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
