"""Who installed the app: kept encrypted, changed whole, deleted to the last byte."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from database.engine import Engine
from database.errors import ConfigurationError
from database.installations import Installation, InstallationRows
from tests.clock import Clock

ACME = Installation(
    "T0ACME", "Acme", "xoxb-acme-secret", "xoxe-acme-secret", 1_700_043_200.0,
    installer="U0ADA", scopes=("chat:write", "commands"), installed_at=1_700_000_000.0,
)  # fmt: skip
GRID = Installation("E0GRID", "Grid", "xoxb-grid-secret", org=True, enterprise_id="E0GRID")


@pytest.fixture
async def engine(tmp_path: Path, clock: Clock) -> AsyncIterator[Engine]:
    opened = Engine.open(tmp_path, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
def rows(engine: Engine) -> InstallationRows:
    return InstallationRows(engine)


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.suffix != ".key")


async def test_an_installation_comes_back_as_it_was_saved(
    rows: InstallationRows, tmp_path: Path
) -> None:
    await rows.save(ACME)
    await rows.save(GRID)
    assert rows.installations() == [GRID, ACME]
    newer = replace(ACME, bot_token="xoxb-acme-newer")
    await rows.save(newer)
    other_process = Engine.open(tmp_path)
    assert InstallationRows(other_process).installation("T0ACME") == newer
    assert rows.installation("T0NOBODY") is None
    await other_process.close()


async def test_no_token_and_no_person_can_be_read_from_the_files(
    rows: InstallationRows, tmp_path: Path
) -> None:
    await rows.save(ACME)
    for secret in (b"xoxb", b"xoxe", b"acme-secret", b"U0ADA"):
        assert secret not in on_disk(tmp_path)
    assert "xox" not in repr(ACME)


async def test_another_key_is_said(rows: InstallationRows, tmp_path: Path) -> None:
    await rows.save(ACME)
    (tmp_path / "secret.key").unlink()
    other = Engine.open(tmp_path)
    with pytest.raises(ConfigurationError, match="another key"):
        InstallationRows(other).installations()
    await other.close()


async def test_what_is_dropped_leaves_no_byte(rows: InstallationRows, tmp_path: Path) -> None:
    await rows.save(GRID)
    await rows.serve("T0ONE", "E0GRID")
    sealed = rows._engine.rows("SELECT sealed FROM installations")[0]["sealed"]
    assert sealed in on_disk(tmp_path)
    assert rows.served() == {"T0ONE": "E0GRID"}
    await rows.drop("E0GRID")
    assert rows.installations() == []
    assert rows.served() == {}
    assert sealed not in on_disk(tmp_path)


async def test_a_departure_stays_noted_until_it_is_settled(rows: InstallationRows) -> None:
    await rows.depart("T0ACME", sure=False)
    assert rows.departures() == {"T0ACME": False}
    await rows.depart("T0ACME", sure=True)
    await rows.depart("T0ACME", sure=False)
    assert rows.departures() == {"T0ACME": True}
    await rows.stay("T0ACME")
    assert rows.departures() == {}


async def test_an_installer_who_is_forgotten_is_nobody(rows: InstallationRows) -> None:
    await rows.save(ACME)
    await rows.save(replace(GRID, installer="U0ADA"))
    await rows.serve("T0ONE", "E0GRID")
    await rows.forget("T0ACME", "U0GRACE")
    await rows.forget("T0ELSEWHERE", "U0ADA")
    assert rows.installation("T0ACME") == ACME
    await rows.forget("T0ACME", "U0ADA")
    assert rows.installation("T0ACME") == replace(ACME, installer="")
    assert rows.installation("E0GRID") == replace(GRID, installer="U0ADA")
    await rows.forget("T0ONE", "U0ADA")
    assert rows.installation("E0GRID") == GRID


async def test_a_sealed_text_is_good_for_a_while_and_only_here(
    rows: InstallationRows, clock: Clock, tmp_path: Path
) -> None:
    token = rows.seal("state")
    assert token != rows.seal("state")
    assert rows.unseal(token, 600) == "state"
    clock.now += 601
    assert rows.unseal(token, 600) is None
    assert rows.unseal("forged", 600) is None
    assert rows.unseal(token[:-4] + "AAA=", 6_000) is None
