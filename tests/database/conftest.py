from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from database.store import Store
from database.supabase_client import SupabaseClient
from tests.clock import Clock
from tests.database.machines import machine  # noqa: F401
from tests.everywhere import everywhere
from tests.supabase_server.fixtures import (  # noqa: F401
    supabase,
    supabase_client,
    supabase_server,
)
from tests.supabase_server.server import SupabaseServer

WORKSPACE = "T1"


@pytest.fixture
def clock() -> Clock:
    return Clock()


CONFORMANCE = {
    "test_store", "test_documents", "test_metrics", "test_forgetting", "test_run_files",
    "test_person_files", "test_decisions", "test_learning_window", "test_audit",
    "test_unlearning", "test_damaged_rows",
}  # fmt: skip
"""What a store promises, it promises wherever its record is. The other files are about SQLite."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everywhere(metafunc, "record", CONFORMANCE, "lite")


@pytest.fixture
def record(request: pytest.FixtureRequest) -> SupabaseServer | None:
    """Where the record is: in the local file, or at Supabase's lite server."""
    if request.param == "sqlite":
        return None
    server: SupabaseServer = request.getfixturevalue("supabase")
    return server


@pytest.fixture
async def store(tmp_path: Path, record: SupabaseServer | None) -> AsyncIterator[Store]:
    client = SupabaseClient(record.url, record.secret_key) if record else None
    opened = Store.open(tmp_path, WORKSPACE, client)
    yield opened
    await opened.close()
    if client:
        await client.close()
