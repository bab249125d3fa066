from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from database.store import Store

WORKSPACE = "T1"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path, WORKSPACE)
    yield opened
    await opened.close()
