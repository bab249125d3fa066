"""Tokens that expire: renewed in time, once, and never lost on the way."""

import asyncio
from pathlib import Path

import pytest

from database.errors import StoreError
from tests.clock import Clock
from tests.slack_interface.many import (
    ACME,
    HALF_A_DAY,
    House,
    Slack,
    house,
    on_disk,
    texts,
)


async def rotating(here: House, slack: Slack) -> None:
    """The app is installed with a token that is good for twelve hours."""
    await here.install(slack.code(ACME, rotating=True))


async def test_a_token_is_renewed_well_before_it_expires(
    started: House, slack: Slack, clock: Clock, tmp_path: Path
) -> None:
    await rotating(started, slack)
    [before] = started.ledger.installations()
    assert before.expires_at == pytest.approx(clock.now + HALF_A_DAY)
    await started.bot.look_after()
    assert started.ledger.installations() == [before]
    clock.now += HALF_A_DAY - 3_600
    await started.bot.look_after()
    [after] = started.ledger.installations()
    assert after.bot_token != before.bot_token
    assert after.refresh_token != before.refresh_token
    assert after.expires_at == pytest.approx(clock.now + HALF_A_DAY)
    del slack.live[before.bot_token]
    await started.say("hello", ACME)
    assert "You said: hello" in slack.said(ACME)
    assert b"xox" not in on_disk(tmp_path)


async def test_an_expired_token_is_renewed_by_the_call_that_meets_it(
    started: House, slack: Slack
) -> None:
    await rotating(started, slack)
    [before] = started.ledger.installations()
    del slack.live[before.bot_token]
    slack.dead[before.bot_token] = "token_expired"
    await asyncio.gather(*(started.say(f"n{n}", ACME, f"{n}.000100") for n in range(5)))
    assert len(texts(started, ACME)) == 5
    for n in range(5):
        assert f"You said: n{n}" in slack.said(ACME)
    assert len(slack.made("oauth.v2.access")) == 2, "one for the code, one for all five"


async def test_two_processes_exchange_a_token_once(
    started: House, slack: Slack, clock: Clock, tmp_path: Path
) -> None:
    await rotating(started, slack)
    async with house(tmp_path, slack, clock) as other:
        await other.start()
        clock.now += HALF_A_DAY - 3_600
        await asyncio.gather(started.bot.look_after(), other.bot.look_after())
        assert len(slack.made("oauth.v2.access")) == 2, "one for the code"
        newest = max(slack.live)
        slack.live = {newest: ACME}
        for process in (started, other):
            await process.bot.look_after()
            assert await process.bot.not_ready() == []


async def test_a_new_token_that_cannot_be_saved_is_used_and_saved_later(
    started: House, slack: Slack, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rotating(started, slack)
    [before] = started.ledger.installations()
    clock.now += HALF_A_DAY - 3_600

    async def full(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("database.installations.InstallationRows.save", full)
        await started.bot.look_after()
    assert started.ledger.installations() == [before]
    del slack.live[before.bot_token]
    await started.say("hello", ACME)
    assert "You said: hello" in slack.said(ACME)
    await started.bot.look_after()
    [after] = started.ledger.installations()
    assert after.bot_token in slack.live
    assert len(slack.made("oauth.v2.access")) == 2


async def test_a_refresh_token_that_slack_refuses_is_said_and_nothing_is_deleted(
    started: House, slack: Slack, clock: Clock
) -> None:
    await rotating(started, slack)
    slack.refreshes.clear()
    clock.now += HALF_A_DAY
    slack.kill(ACME, "token_expired")
    await started.bot.look_after()
    [reason] = await started.bot.not_ready()
    assert ACME in reason
    assert [one.holder for one in started.ledger.installations()] == [ACME]
    await started.install(slack.code(ACME))
    assert await started.bot.not_ready() == []
