"""One installation for a whole organisation: each of its workspaces apart."""

import asyncio
from pathlib import Path

import pytest

from database.errors import StoreError
from slack_interface.installations import Installations, origin_of
from tests.clock import Clock
from tests.people import Json
from tests.slack_interface.many import (
    ACME,
    BETA,
    CLIENT,
    GRID,
    SECRET,
    House,
    Slack,
    house,
    on_disk,
    somewhere,
    texts,
)


async def test_one_installation_serves_each_workspace_of_an_organisation_apart(
    started: House, slack: Slack, tmp_path: Path, clock: Clock
) -> None:
    await started.install(slack.code(GRID))
    assert started.opened == []
    for team in (ACME, BETA):
        await started.say(f"from {team}", team, **somewhere(team))
    assert started.opened == [ACME, BETA]
    assert texts(started, ACME) == [f"from {ACME}"]
    assert texts(started, BETA) == [f"from {BETA}"]
    posted = slack.made("chat.postMessage", GRID)
    assert [call["team_id"] for call in posted] == [ACME, BETA]
    assert {call["team_id"] for call in slack.made("users.info")} == {ACME, BETA}
    await started.stop()
    async with house(tmp_path, slack, clock) as later:
        await later.start()
        assert sorted(later.opened) == [ACME, BETA], "their inboxes resume"


async def test_an_organisation_that_leaves_takes_all_its_workspaces_along(
    started: House, slack: Slack, tmp_path: Path
) -> None:
    await started.install(slack.code(GRID))
    await started.install(slack.code("T0ALONE"))
    for team in (ACME, BETA):
        await started.say(f"the secret of {team}", team, **somewhere(team))
    await started.say("mine", "T0ALONE")
    slack.kill(GRID)
    await started.leave(ACME, **somewhere(ACME))
    assert [one.holder for one in started.ledger.installations()] == ["T0ALONE"]
    assert started.ledger.served() == {}
    for gone in (b"the secret of", ACME.encode(), BETA.encode(), GRID.encode()):
        assert gone not in on_disk(tmp_path)
    await started.say("still here", "T0ALONE", "2.000100")
    assert texts(started, "T0ALONE") == ["mine", "still here"]


@pytest.mark.parametrize("granted", [True, False])
async def test_a_workspaces_own_installation_comes_before_its_organisations(
    started: House, slack: Slack, granted: bool
) -> None:
    await started.install(slack.code(GRID))
    await started.install(slack.code(ACME, of=GRID))
    await started.say("hello", ACME, **somewhere(ACME))
    assert "You said: hello" in slack.said(ACME)
    slack.granted = {ACME} if granted else set()
    slack.kill(ACME)
    await started.leave(ACME, enterprise_id=GRID)
    assert [one.holder for one in started.ledger.installations()] == [GRID]
    assert started.ledger.served() == ({ACME: GRID} if granted else {})
    assert started.ledger.departures() == {}
    await started.say("and now?", ACME, "2.000100", **somewhere(ACME))
    assert "You said: and now?" in slack.said(GRID)
    kept = await started.orchestrators[ACME].store.messages("D0ADA", 0.0)
    assert ("hello" in [message.text for message in kept]) == granted


async def test_one_workspace_that_its_organisation_takes_away_is_erased_alone(
    started: House, slack: Slack, clock: Clock, tmp_path: Path
) -> None:
    await started.install(slack.code(GRID))
    for team in (ACME, BETA):
        await started.say(f"the secret of {team}", team, **somewhere(team))
    taken = {"team_ids": [ACME, "T0NEVER"]}
    away: Json = {"enterprise_id": GRID, "event": taken}
    slack.granted = {ACME, BETA}
    late = int(clock.now) - 60
    await started.leave("", "team_access_revoked", event_time=late, **away)
    assert started.ledger.served().keys() == {ACME, BETA}, "Slack says that it is still granted"
    slack.granted = {BETA}
    await started.leave("", "team_access_revoked", event_time=late, **away)
    assert started.ledger.served() == {BETA: GRID}
    assert [desk.identity.team_id for desk in started.bot.desks] == [BETA]
    assert b"the secret of T0ACME" not in on_disk(tmp_path)
    await started.say("still here", BETA, "2.000100", **somewhere(BETA))
    assert texts(started, BETA) == [f"the secret of {BETA}", "still here"]


async def test_no_desk_is_opened_for_who_left_meanwhile(here: House) -> None:
    installation = await here.installed(ACME)
    index = Installations(here.ledger)
    index.load()
    found = index.account(origin_of({"team_id": ACME}))
    assert found is not None
    assert index.lets_in(found)
    index.leave(ACME)
    assert not index.lets_in(found)
    index.drop(ACME)
    assert not index.lets_in(found)
    index.learn(installation)
    assert index.lets_in(found)


async def test_a_desk_that_fails_to_open_leaves_nothing_running(
    here: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.installed(ACME)

    async def damaged(*_: object) -> None:
        raise StoreError("engine.db is damaged.")

    monkeypatch.setattr("database.coordination.Coordination.pending", damaged)
    await here.start()
    assert here.opened == [ACME]
    assert here.bot.desks == []
    assert not [task for task in asyncio.all_tasks() if "_send_all" in repr(task.get_coro())]


async def test_who_comes_back_before_all_is_erased_is_not_erased(
    started: House, slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await started.install(slack.code(ACME))

    async def away(*_: object) -> None:
        raise StoreError("The record is away.")

    with monkeypatch.context() as patch:
        patch.setattr("database.store.Store.erase", away)
        await started.leave(ACME)
    await started.install(slack.code(ACME))
    await started.bot.look_after()
    assert [one.holder for one in started.ledger.installations()] == [ACME]
    await started.say("back again", ACME)
    assert texts(started, ACME) == ["back again"]


async def test_bolt_finds_the_app_in_the_environment_too_and_makes_nothing_of_it(
    here: House, slack: Slack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("SLACK_CLIENT_ID", CLIENT),
        ("SLACK_CLIENT_SECRET", SECRET),
        ("SLACK_SIGNING_SECRET", "another"),
        ("HOME", str(tmp_path / "person")),
    ):
        monkeypatch.setenv(name, value)
    await here.installed(ACME)
    await here.start()
    await here.say("hello", ACME)
    assert "You said: hello" in slack.said(ACME)
    assert len(slack.made("auth.test")) == 1, "who we are is asked once, when the desk opens"
    assert not (tmp_path / "person").exists()
