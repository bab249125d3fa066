import asyncio
import time

import pytest

from database.errors import InputError
from orchestrator.trials.background import CALM_SECONDS, Background, GaveWay
from tests.patience import PATIENCE_S


@pytest.mark.parametrize(
    ("background", "at_once"),
    [(Background(at_once=2), 2), (Background(gives_way=True, at_once=2), 1)],
)
async def test_so_many_pieces_run_at_once_and_their_results_come_back(
    background: Background, at_once: int
) -> None:
    running, most = 0, 0

    async def work() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return "done"

    assert await asyncio.gather(*(background.run(work) for _ in range(5))) == ["done"] * 5
    assert most == at_once


async def test_what_fails_fails_for_who_asked_and_the_next_one_runs() -> None:
    background = Background()

    async def fails() -> None:
        raise InputError("No.")

    async def works() -> int:
        return 1

    with pytest.raises(InputError):
        await background.run(fails)
    assert await background.run(works) == 1


async def begun_again(gives_way: bool) -> int:
    background = Background(gives_way=gives_way)
    times, begun, go_on = 0, asyncio.Event(), asyncio.Event()

    async def work() -> int:
        nonlocal times
        times += 1
        begun.set()
        await go_on.wait()
        return times

    task = asyncio.create_task(background.run(work))
    await begun.wait()
    background.make_way()
    background.make_way()
    background.go_on()
    for _ in range(5):
        await asyncio.sleep(0)
    assert times == 1
    background.go_on()
    go_on.set()
    return await task


async def test_it_is_broken_off_for_a_person_and_begun_anew() -> None:
    assert await begun_again(gives_way=True) == 2
    assert await begun_again(gives_way=False) == 1


async def test_what_never_comes_to_its_end_is_given_up() -> None:
    background = Background(gives_way=True)

    async def work() -> None:
        background.make_way()
        background.go_on()
        await asyncio.sleep(0)

    with pytest.raises(GaveWay, match="gave way"):
        await background.run(work)


async def test_who_stops_waiting_stops_the_work() -> None:
    background = Background(gives_way=True)
    stopped = asyncio.Event()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    task = asyncio.create_task(background.run(work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(stopped.wait(), 20)


@pytest.mark.parametrize("gives_way", [True, False])
async def test_a_lull_comes_when_the_last_person_has_an_answer(
    gives_way: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.trials.background.CALM_SECONDS", 0.001)
    monkeypatch.setattr("orchestrator.trials.background.LULL_SECONDS", 10 * PATIENCE_S)
    background = Background(gives_way=gives_way)
    await background.lull()
    background.make_way()
    background.make_way()
    lull = asyncio.create_task(background.lull())
    background.go_on()
    await asyncio.sleep(0)
    assert not lull.done()
    background.go_on()
    await asyncio.wait_for(lull, PATIENCE_S)


async def test_a_lull_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.trials.background.LULL_SECONDS", 0.001)
    background = Background()
    background.make_way()
    await asyncio.wait_for(background.lull(), PATIENCE_S)


async def test_the_moment_after_an_answer_is_no_lull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.trials.background.LULL_SECONDS", 10 * PATIENCE_S)
    background = Background()
    background.make_way()
    background.go_on()
    began = time.monotonic()
    await asyncio.wait_for(background.lull(), PATIENCE_S)
    assert time.monotonic() - began > CALM_SECONDS / 2
