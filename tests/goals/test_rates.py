import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from goals.ledger import Ledger
from goals.rates import Rates
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def two(tmp_path: Path, clock: Clock) -> AsyncIterator[tuple[Rates, Rates]]:
    """Of two processes."""
    opened = [Ledger.open(tmp_path, clock=clock) for _ in range(2)]
    yield Rates(opened[0]), Rates(opened[1])
    for ledger in opened:
        await ledger.close()


async def test_turns_are_shared_by_all_processes(two: tuple[Rates, Rates], clock: Clock) -> None:
    """Sixty a minute, two at once: the others a second apart, whichever process they are of."""
    asked = [one.turn("provider", 60.0, burst=2) for one in (*two, *two, *two)]
    assert sorted(await asyncio.gather(*asked)) == [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    assert await two[0].turn("another", 60.0) == 0.0
    clock.now += 4.0
    assert await two[1].turn("provider", 60.0, burst=2) == 1.0
    clock.now += 100.0
    waits = [await two[n % 2].turn("provider", 60.0, burst=2) for n in range(3)]
    assert waits == [0.0, 0.0, 1.0], "no more than the burst is saved up"


async def test_a_pause_that_the_provider_asked_for_holds_everybody(
    two: tuple[Rates, Rates], clock: Clock
) -> None:
    await two[0].pause("provider", 30.0)
    assert await two[1].turn("provider", 60.0, burst=5) == 31.0
    assert await two[0].turn("provider", 60.0, burst=5) == 32.0
    clock.now += 40.0
    assert await two[1].turn("provider", 60.0, burst=5) == 0.0
    await two[0].pause("provider", 1e9)
    assert await two[1].turn("provider", 60.0) == 600.0
    clock.now += 601.0
    assert await two[0].turn("provider", 60.0) <= 2.0


async def test_who_can_wait_takes_a_turn_only_where_some_are_left(
    two: tuple[Rates, Rates], clock: Clock
) -> None:
    first, second = two
    asked = [await first.spare("provider", 60.0, 4, keep=2) for _ in range(3)]
    assert asked == [0.0, 0.0, 1.0]
    assert [await second.turn("provider", 60.0, 4) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert await first.spare("provider", 60.0, 4, keep=2) == 4.0
    clock.now += 4.0
    assert await second.spare("provider", 60.0, 4, keep=2) == 0.0
    await first.pause("provider", 30.0)
    assert await second.spare("provider", 60.0, 4) == 30.0


async def test_hundred_turns_at_once_on_postgres(ledger: Ledger) -> None:
    rates = Rates(ledger)
    waits = sorted(await asyncio.gather(*(rates.turn("p", 6000.0) for _ in range(100))))
    assert waits[0] == 0.0
    assert waits[-1] == pytest.approx(0.99, abs=0.6), "each a hundredth of a second after another"
    assert len({round(wait, 3) for wait in waits}) > 50
