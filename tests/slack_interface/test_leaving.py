"""Workspaces that send us away: nothing of theirs is left."""

from pathlib import Path

import pytest

from database.errors import StoreError
from tests.clock import Clock
from tests.people import ADA, Json
from tests.slack_interface.many import (
    ACME,
    BETA,
    GRID,
    House,
    Slack,
    house,
    on_disk,
    somewhere,
    texts,
)


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("app_uninstalled", {}),
        ("tokens_revoked", {"tokens": {"oauth": [], "bot": ["U0BOT"]}}),
    ],
)
async def test_who_sends_us_away_leaves_nothing_behind(
    here: House, slack: Slack, tmp_path: Path, kind: str, event: Json
) -> None:
    for team in (ACME, BETA):
        await here.installed(team)
    await here.start()
    for team in (ACME, BETA):
        await here.say(f"the secret of {team}", team)
        await here.orchestrators[team].store.policy.add("speak", "threads", ADA)
    slack.kill(ACME)
    assert (await here.leave(ACME, kind, event=event)).status_code == 200
    assert [one.holder for one in here.ledger.installations()] == [BETA]
    assert here.ledger.departures() == {}
    assert [desk.identity.team_id for desk in here.bot.desks] == [BETA]
    await here.orchestrators[BETA].store.close()
    kept = on_disk(tmp_path)
    assert b"the secret of T0BETA" in kept
    assert ACME.encode() not in kept
    assert (await here.say("hello?", ACME, "9.000100")).status_code == 200
    assert here.opened.count(ACME) == 1, "it is nobody's now"
    await here.install(slack.code(ACME))
    await here.say("a new life", ACME, "10.000100")
    assert texts(here, ACME) == ["a new life"]


@pytest.mark.parametrize(
    ("kind", "event", "age_s"),
    [
        ("app_uninstalled", {}, 60),
        ("app_uninstalled", {}, 80_000),
        ("tokens_revoked", {"tokens": {"oauth": [], "bot": ["U0BOT"]}}, 0),
        ("tokens_revoked", {"tokens": {"oauth": [ADA], "bot": []}}, 0),
        ("tokens_revoked", {}, 0),
    ],
)
async def test_a_late_or_other_farewell_deletes_nothing_while_slack_takes_the_token(
    here: House, clock: Clock, kind: str, event: Json, age_s: float
) -> None:
    await here.installed(ACME, installed_at=clock.now)
    await here.start()
    await here.say("hello", ACME)
    await here.leave(ACME, kind, event=event, event_time=int(clock.now - age_s))
    assert here.ledger.departures() == {}
    assert [one.holder for one in here.ledger.installations()] == [ACME]
    await here.say("still here", ACME, "2.000100")
    assert texts(here, ACME) == ["hello", "still here"]


@pytest.mark.parametrize("told", [{}, {"event_time": 1_234_567_890}, {"event_time": 2e10}])
async def test_the_app_being_removed_is_believed_without_asking(
    here: House, slack: Slack, told: Json
) -> None:
    await here.installed(ACME)
    here.token = slack.token(BETA)
    await here.start()
    asked = len(slack.made("auth.test"))
    for team in (ACME, BETA):
        await here.leave(team, **told)
    assert here.ledger.installations() == []
    assert here.bot.desks == []
    assert len(slack.made("auth.test")) == asked


async def test_a_farewell_that_could_not_be_settled_is_settled_later(
    here: House, slack: Slack, tmp_path: Path, clock: Clock
) -> None:
    await here.installed(ACME)
    await here.start()
    await here.say("the secret of it", ACME)
    slack.refusals["auth.test"] = (200, {"ok": False, "error": "fatal_error"})
    slack.kill(ACME)
    revoked = {"tokens": {"oauth": [], "bot": ["U0BOT"]}}
    await here.leave(ACME, "tokens_revoked", event=revoked)
    assert here.ledger.departures() == {ACME: False}
    assert [one.holder for one in here.ledger.installations()] == [ACME]
    await here.stop()
    slack.refusals.clear()
    async with house(tmp_path, slack, clock) as later:
        await later.start()
        assert later.opened == []
        assert later.ledger.departures() == {}
        assert later.ledger.installations() == []
    assert b"the secret of it" not in on_disk(tmp_path)


@pytest.mark.parametrize("holder", [ACME, GRID])
async def test_what_cannot_be_erased_now_is_erased_later_and_answered_no_more(
    started: House, slack: Slack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: str
) -> None:
    await started.install(slack.code(holder))
    more = somewhere(ACME) if holder == GRID else {}
    await started.say("the secret of it", ACME, **more)

    async def away(*_: object) -> None:
        raise StoreError("The record is away.")

    with monkeypatch.context() as patch:
        patch.setattr("database.store.Store.erase", away)
        await started.leave(ACME, **more)
        for _ in range(2):
            await started.bot.look_after()
            assert started.ledger.departures() == {holder: True}
            assert started.bot.desks == []
        await started.say("hello?", ACME, "2.000100", **more)
        assert started.opened == [ACME]
    await started.bot.look_after()
    assert started.ledger.departures() == {}
    assert b"the secret of it" not in on_disk(tmp_path)
    await started.install(slack.code(holder))
    await started.say("a new life", ACME, "3.000100", **more)
    assert texts(started, ACME) == ["a new life"]


async def test_the_workspace_of_the_environment_is_erased_too(
    here: House, slack: Slack, tmp_path: Path
) -> None:
    here.token = slack.token(ACME)
    await here.start()
    await here.say("the secret of it", ACME)
    slack.kill(ACME)
    await here.leave(ACME)
    assert here.bot.desks == []
    assert b"the secret of it" not in on_disk(tmp_path)
    assert ACME.encode() not in on_disk(tmp_path)
