from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from database.store import Store
from tests.supabase_server.fixtures import (  # noqa: F401
    supabase,
    supabase_client,
    supabase_server,
)

WORKSPACE = "T1"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path, WORKSPACE)
    yield opened
    await opened.close()
