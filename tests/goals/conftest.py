from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from goals.ledger import Goals, Ledger
from tests.everywhere import everywhere
from tests.postgres import Postgres

EVERYWHERE = {
    "test_ledger", "test_leaving", "test_engine_database", "test_budgets", "test_execution",
    "test_workers", "test_rates",
}  # fmt: skip
"""What the engine database promises, it promises in a file and on Postgres."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everywhere(metafunc, "engine_url", EVERYWHERE, "postgres")


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


@pytest.fixture
def goals(ledger: Ledger) -> Goals:
    return ledger.of("T1")
