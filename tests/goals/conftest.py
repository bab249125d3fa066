from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from goals.ledger import Ledger
from tests.postgres import Postgres

EVERYWHERE = {"test_ledger", "test_budgets", "test_execution", "test_workers", "test_rates"}
"""What the engine database promises, it promises in a file and on Postgres."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_url" in metafunc.fixturenames:
        everywhere = metafunc.module.__name__.rpartition(".")[2] in EVERYWHERE
        where = ["sqlite", "postgres"] if everywhere else ["sqlite"]
        metafunc.parametrize("engine_url", where, indirect=True)


@pytest.fixture
def engine_url(request: pytest.FixtureRequest) -> str | None:
    """Where the engine database is: None is a file in the home."""
    if request.param == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
async def ledger(tmp_path: Path, engine_url: str | None) -> AsyncIterator[Ledger]:
    opened = Ledger.open(tmp_path, engine_url)
    yield opened
    await opened.close()
