"""Whose is a payload: told from what Slack says, and answered by that workspace's desk."""

import asyncio

import pytest

from database.installations import Installation
from slack_interface.installations import Installations, origin_of
from tests.people import ADA, GRACE, Json
from tests.slack_interface.many import (
    ACME,
    BETA,
    GRID,
    House,
    Slack,
    texts,
)

HERE: Json = {"team_id": BETA, "enterprise_id": None, "is_enterprise_install": False}
BUTTON: Json = {"type": "block_actions", "user": {"id": ADA, "team_id": "T0ELSEWHERE"}}


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "event_callback", "team_id": BETA},
        {"type": "event_callback", "team_id": ACME, "authorizations": [HERE]},
        {"type": "event_callback", "team_id": "T0ELSEWHERE", "context_team_id": BETA},
        {"type": "event_callback", "team_id": "T0ELSEWHERE", "authorizations": [HERE],
         "is_ext_shared_channel": True},
        {"command": "/metrics", "team_id": BETA, "enterprise_id": "E0OTHER"},
        {**BUTTON, "team": {"id": BETA}},
        {**BUTTON, "team": {"id": "T0ELSEWHERE"}, "message": {"team": BETA}},
        {**BUTTON, "team": None, "user": {"id": ADA, "team_id": BETA}},
        {"type": "view_submission", "team": {"id": ACME}, "view": {"app_installed_team_id": BETA}},
        {"type": "view_submission", "team": None, "view": {"team_id": BETA}},
    ],
)  # fmt: skip
async def test_each_kind_of_payload_finds_its_workspace(here: House, payload: Json) -> None:
    index = Installations(here.ledger)
    for team in (ACME, BETA):
        index.learn(Installation(team, team, f"xoxb-{team}-1"))
    found = index.account(origin_of(payload))
    assert found is not None
    assert (found.team_id, found.token) == (BETA, f"xoxb-{BETA}-1")


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "event_callback", "team_id": "T0ELSEWHERE"},
        {"type": "event_callback", "team_id": GRID, "enterprise_id": GRID},
        {"command": "/metrics", "team_id": "T0ELSEWHERE", "enterprise_id": BETA},
    ],
)
async def test_what_belongs_to_nobody_is_nobodys(here: House, payload: Json) -> None:
    index = Installations(here.ledger)
    index.learn(Installation(BETA, BETA, "xoxb-1"))
    assert index.account(origin_of(payload)) is None


@pytest.mark.parametrize("payload", [{}, {"team_id": "T0OTHER"}, {"enterprise_id": "E0OTHER"}])
async def test_where_nobody_can_install_the_app_all_that_comes_is_the_one_workspaces(
    here: House, payload: Json
) -> None:
    alone, open_to_all = Installations(here.ledger, alone=True), Installations(here.ledger)
    origin = origin_of(payload)
    for index in (alone, open_to_all):
        assert index.account(origin) is None
        index.add_own(ACME, "xoxb-1")
    found = alone.account(origin)
    assert found is not None
    assert found.team_id == ACME
    assert (open_to_all.account(origin) is None) == bool(payload), "no name, no doubt"
    assert alone.holder(origin) == "", "only a workspace that is named sends us away"
    assert alone.holder(origin_of({"team_id": ACME})) == ACME
    for index in (alone, open_to_all):
        index.learn(Installation(BETA, BETA, "xoxb-2"))
        assert index.account(origin) is None, "there are two now"


async def test_two_workspaces_are_answered_each_with_its_own_token(
    here: House, slack: Slack
) -> None:
    for team in (ACME, BETA):
        await here.installed(team)
    await here.start()
    assert sorted(here.opened) == [ACME, BETA]
    await asyncio.gather(
        *(here.say(f"{team} {n}", team, f"{n}.000100") for team in (ACME, BETA) for n in (1, 2))
    )
    assert sorted(texts(here, ACME)) == [f"{ACME} 1", f"{ACME} 2"]
    assert sorted(texts(here, BETA)) == [f"{BETA} 1", f"{BETA} 2"]
    assert BETA not in slack.said(ACME)
    assert ACME not in slack.said(BETA)
    assert (await here.say("hello?", "T0ELSEWHERE")).status_code == 200
    assert len(here.opened) == 2


async def test_many_first_events_open_one_desk(here: House, slack: Slack) -> None:
    await here.start()
    await here.installed(ACME)
    here.bot._installations.load()
    await asyncio.gather(*(here.say(f"n{n}", ACME, f"{n}.000100") for n in range(20)))
    assert here.opened == [ACME]
    assert len(texts(here, ACME)) == 20


async def test_one_workspace_that_cannot_be_opened_keeps_no_other_from_starting(
    here: House, slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for team in (ACME, BETA):
        await here.installed(team)
    slack.kill(ACME, "internal_error")
    await here.start()
    assert here.opened == [BETA]
    await here.say("hello", BETA)
    assert "You said: hello" in slack.said(BETA)
    assert await here.bot.not_ready() == [f"Slack does not let us into {ACME}; the log says why."]
    assert (await here.say("hello?", ACME)).status_code == 503, "Slack sends it again"
    slack.live.update(dict.fromkeys(slack.dead, ACME))
    monkeypatch.setattr("slack_interface.switchboard.AGAIN_S", 0.0)
    assert (await here.say("hello?", ACME)).status_code == 200
    assert texts(here, ACME) == ["hello?"]
    assert await here.bot.not_ready() == []


async def test_a_workspace_whose_token_died_is_named_as_not_ready(
    here: House, slack: Slack
) -> None:
    for team in (ACME, BETA):
        await here.installed(team)
    await here.start()
    await here.bot.look_after()
    assert await here.bot.not_ready() == []
    slack.kill(ACME)
    await here.bot.look_after()
    [reason] = await here.bot.not_ready()
    assert ACME in reason


async def test_whoever_installed_it_decides_where_nobody_is_named(
    here: House, slack: Slack
) -> None:
    await here.installed(ACME, installer=GRACE)
    await here.start()
    await here.say("policy set speak everything", ACME)
    assert here.policies[ACME].speaking("C1") == "threads"
    assert f"<@{GRACE}>" in slack.said(ACME)
    await here.install(slack.code(ACME, ADA))
    await here.say("policy set speak everything", ACME, "2.000100")
    assert here.policies[ACME].speaking("C1") == "everything"


async def test_named_approvers_come_before_whoever_installed_it(here: House) -> None:
    here.approvers = (GRACE,)
    await here.installed(ACME, installer=ADA)
    await here.start()
    await here.say("policy set speak everything", ACME)
    assert here.policies[ACME].speaking("C1") == "threads"
