"""What is configured, what can be reached, and what to do about the rest."""

import importlib.util
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from agents.mcp_tools import check_mcp_config
from agents.weights import installed
from database.errors import ConfigurationError
from database.records import RecordHealth
from orchestrator import goal_admin, supabase
from orchestrator.check import Check as Check
from orchestrator.settings import Settings
from orchestrator.slack_health import slack

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("agents", "command_line", "database", "goals", "orchestrator", "slack_interface")

_TIMEOUT = httpx.Timeout(5.0)
_ENOUGH_BYTES = 500_000_000


def shadowed(find: Callable[[str], Path | None] | None = None) -> list[Check]:
    """Packages of this checkout in whose place Python finds another one of the same name."""
    found = [(name, (find or _origin)(name)) for name in PACKAGES]
    return [
        Check(
            f"package {name}",
            "failed",
            f"Python finds {path or 'nothing'} instead of {CHECKOUT / name}",
            f"Uninstall the package called {name}, or use the checkout's own .venv.",
        )
        for name, path in found
        if path is None or not path.is_relative_to(CHECKOUT)
    ]


async def examine(
    settings: Settings, record: Callable[[Path], str], scopes: Sequence[str] = ()
) -> list[Check]:
    """Look at everything; asks Slack and the model's provider, changes nothing.

    `record` describes the database under the home, or raises OSError or ValueError. `scopes` are
    what the app needs to be allowed in a workspace.
    """
    async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
        return [
            *(shadowed() or [Check("packages", "ok", f"all from {CHECKOUT}")]),
            *await slack(settings, client, scopes),
            *_mcp(settings),
            await _model(settings, client),
            _weights(settings),
            _disk(settings),
            _record(settings, record),
            *await _supabase(settings),
            *await goal_admin.described(settings),
        ]


async def _supabase(settings: Settings) -> list[Check]:
    found = await supabase.described(settings)
    states = await supabase.states(settings)
    problems = [] if found is None else list(found["problems"])
    for workspace, state in states.items():
        problems += [f"{workspace}: {words}" for words in state.warnings]
    ages = [f"{name}'s copy is {_age(state)}" for name, state in states.items() if state.supabase]
    if problems:
        advice = "See `virtuous6 db check`, `virtuous6 outbox list` and supabase/README.md."
        detail = "; ".join([*problems, *ages])
        return [Check("Supabase", "failed", detail, advice, needed=False)]
    if found is None:
        return []
    return [Check("Supabase", "ok", "; ".join([f"the record is at {found['version']}", *ages]))]


def _age(state: RecordHealth) -> str:
    """The copy's age, noted every half minute by a process that keeps it."""
    if state.copied_at is None:
        return "not made yet"
    seconds = max(0.0, time.time() - state.copied_at)
    return f"{seconds:.0f} s old" if seconds < 120 else f"{seconds / 60:,.0f} minutes old"


def _mcp(settings: Settings) -> list[Check]:
    if settings.virtuous6_mcp_config is None:
        return []
    try:
        servers = check_mcp_config(settings.virtuous6_mcp_config.expanduser())
    except ConfigurationError as error:
        return [Check("MCP", "failed", "the configuration cannot be used", str(error))]
    problems = [server.problem for server in servers if server.problem]
    if problems:
        advice = " ".join(problems)
        return [Check("MCP", "failed", f"{len(problems)} of {len(servers)} servers", advice)]
    return [Check("MCP", "ok", ", ".join(server.name for server in servers))]


async def _model(settings: Settings, client: httpx.AsyncClient) -> Check:
    name = "model"
    if settings.embedded:
        there = installed(settings.models_dir)
        if there:
            return Check(name, "ok", f"embedded ({there[0]})")
        return Check(
            name,
            "missing",
            "no model is configured and no weights are installed",
            "Run `virtuous6 model pull small`, or set OPENAI_API_KEY.",
        )
    base = (settings.openai_base_url or "https://api.openai.com/v1").rstrip("/")
    key = settings.openai_api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        status = (await client.get(f"{base}/models", headers=headers)).status_code
    except httpx.HTTPError as error:
        return Check(
            name,
            "failed",
            f"{base} does not answer ({type(error).__name__})",
            "Check the network, or OPENAI_BASE_URL (unset it for the embedded model).",
        )
    if status in (401, 403):
        return Check(
            name, "failed", f"{base} refuses the key ({status})", "Set OPENAI_API_KEY again."
        )
    return Check(name, "ok", f"{settings.strong_model} and {settings.fast_model} at {base}")


def _weights(settings: Settings) -> Check:
    there = installed(settings.models_dir)
    if there:
        return Check("weights", "ok", f"{', '.join(there)} in {settings.models_dir}")
    return Check(
        "weights",
        "missing",
        f"none in {settings.models_dir}",
        "Run `virtuous6 model pull small` (1.1 GB) or `model pull tiny` (0.1 GB).",
        needed=False,
    )


def _disk(settings: Settings) -> Check:
    place = settings.home
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    detail = f"{free / 1e9:.1f} GB free at {place}"
    if free >= _ENOUGH_BYTES:
        return Check("disk", "ok", detail)
    return Check("disk", "failed", detail, "Free some space, or set VIRTUOUS6_HOME.")


def _record(settings: Settings, record: Callable[[Path], str]) -> Check:
    try:
        return Check("database", "ok", record(settings.home))
    except (OSError, ValueError) as error:
        return Check("database", "failed", str(error), "Run `virtuous6 db check`.")


def ready(checks: Sequence[Check]) -> bool:
    """Whether nothing that is needed is wrong."""
    return all(check.status == "ok" or not check.needed for check in checks)


def _origin(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    if spec.origin:
        return Path(spec.origin).resolve()
    places = list(spec.submodule_search_locations or [])
    return Path(places[0]).resolve() if places else None
