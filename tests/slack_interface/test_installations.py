"""Several workspaces: installed from a page, told apart, renewed, and forgotten when they leave."""

import asyncio
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest

from database.errors import StoreError
from database.installations import Installation
from slack_interface import oauth
from slack_interface.installations import Installations, origin_of
from slack_interface.manifest import bot_scopes
from tests.people import ADA, GRACE, Json
from tests.slack_interface.many import (
    ACME,
    BETA,
    CLIENT,
    GRID,
    HALF_A_DAY,
    SECRET,
    Clock,
    House,
    Slack,
    house,
)


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def here(tmp_path: Path, slack: Slack, clock: Clock) -> AsyncIterator[House]:
    """A process that is not started yet."""
    async with house(tmp_path, slack, clock) as made:
        yield made


@pytest.fixture
async def started(here: House) -> House:
    """A process that nobody has installed anything from."""
    await here.start()
    return here


def texts(house: House, team: str) -> list[str]:
    return [request.text for request in house.orchestrators[team].requests]


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.suffix != ".key")


# Installing


async def test_the_page_asks_slack_for_what_the_manifest_says(started: House) -> None:
    asked, cookie = await started.begin()
    assert asked["client_id"] == CLIENT
    assert asked["scope"].split(",") == list(bot_scopes())
    assert asked["redirect_uri"] == f"{started.base}/slack/oauth_redirect"
    assert cookie.split("=", 1)[1] == asked["state"]
    page = await started.page("/slack/install")
    assert "Add to Slack" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "httponly" in page.headers["set-cookie"].lower()
    assert SECRET not in page.text


async def test_who_installs_the_app_is_answered_at_once(started: House, slack: Slack) -> None:
    assert await started.bot.not_ready() == []
    assert (await started.say("too early", ACME)).status_code == 200
    assert started.opened == []
    page = await started.install(slack.code(ACME))
    assert page.status_code == 200
    assert "Open Slack" in page.text
    assert f"&lt;b&gt;{ACME}" in page.text, "names are escaped"
    assert "xoxb" not in page.text
    await started.say("hello", ACME, "2.000100")
    assert texts(started, ACME) == ["hello"]
    assert "You said: hello" in slack.said(ACME)
    assert await started.bot.not_ready() == []


async def test_the_next_start_knows_who_installed_it(
    here: House, slack: Slack, tmp_path: Path, clock: Clock
) -> None:
    await here.start()
    await here.install(slack.code(ACME))
    await here.stop()
    assert b"xoxb" not in on_disk(tmp_path)
    async with house(tmp_path, slack, clock) as later:
        await later.start()
        assert later.opened == [ACME]
        await later.say("still there?", ACME)
        assert "You said: still there?" in slack.said(ACME)


async def assert_nothing_installed(house: House, page: object) -> None:
    text = getattr(page, "text", "")
    assert "Nothing was installed" in text
    assert "/slack/install" in text
    assert "Traceback" not in text
    assert SECRET not in text
    assert house.ledger.installations() == []
    assert house.opened == []


async def test_who_does_not_allow_it_is_told_that_nothing_was_done(started: House) -> None:
    asked, cookie = await started.begin()
    back = f"/slack/oauth_redirect?error=access_denied&state={asked['state']}"
    page = await started.page(back, cookie)
    await assert_nothing_installed(started, page)
    assert oauth.DENIED in page.text


async def test_an_answer_that_this_browser_did_not_ask_for_is_refused(
    started: House, slack: Slack
) -> None:
    asked, cookie = await started.begin()
    code = slack.code(ACME)
    there = f"/slack/oauth_redirect?code={code}"
    forged = f"{cookie.split('=')[0]}=forged"
    for address, sent in (
        (there, cookie),
        (f"{there}&state=", cookie),
        (f"{there}&state={asked['state']}", ""),
        (f"{there}&state={asked['state']}", forged),
        (f"{there}&state=forged", forged),
        (f"{there}&state={'x' * 5_000}", f"{cookie.split('=')[0]}={'x' * 5_000}"),
    ):
        page = await started.page(address, sent)
        assert page.status_code == 400, (address, sent)
        await assert_nothing_installed(started, page)
    assert slack.codes.keys() == {code}


async def test_an_answer_that_comes_too_late_or_twice_is_refused(
    started: House, slack: Slack, clock: Clock
) -> None:
    asked, cookie = await started.begin()
    back = f"/slack/oauth_redirect?code={slack.code(ACME)}&state={asked['state']}"
    clock.now += oauth.STATE_S + 2
    page = await started.page(back, cookie)
    await assert_nothing_installed(started, page)
    assert oauth.TOO_LATE in page.text
    asked, cookie = await started.begin()
    back = f"/slack/oauth_redirect?code={slack.code(ACME)}&state={asked['state']}"
    assert (await started.page(back, cookie)).status_code == 200
    again = await started.page(back, cookie)
    assert again.status_code == 400
    assert oauth.TOO_LATE in again.text


async def test_a_code_that_slack_does_not_know_is_explained(started: House) -> None:
    page = await started.install("used-before")
    assert oauth.USED in unescape(page.text)
    await assert_nothing_installed(started, page)
    asked, cookie = await started.begin()
    page = await started.page(f"/slack/oauth_redirect?state={asked['state']}", cookie)
    assert oauth.NO_CODE in page.text
    await assert_nothing_installed(started, page)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, {"ok": False, "error": "bad_client_secret"}, "bad_client_secret"),
        (200, {"ok": False, "error": "bad_redirect_uri"}, "bad_redirect_uri"),
        (200, {"ok": True, "token_type": "user", "access_token": "xoxp-1"}, oauth.NO_BOT),
        (200, {"ok": True, "token_type": "bot", "access_token": "xoxb-1"}, oauth.NO_BOT),
    ],
)
async def test_what_slack_refuses_is_said_in_words(
    started: House, slack: Slack, status: int, body: Json, words: str
) -> None:
    slack.refusals["oauth.v2.access"] = (status, body)
    page = await started.install("code")
    assert page.status_code == 502
    assert words in unescape(page.text)
    assert "xox" not in page.text
    await assert_nothing_installed(started, page)


async def test_slack_being_away_is_said(
    started: House, slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = slack.code(ACME)

    async def away(*_: object, **__: object) -> None:
        raise ConnectionResetError("no route")

    monkeypatch.setattr("slack_interface.web_client.WorkspaceClient.oauth_v2_access", away)
    page = await started.install(code)
    assert page.status_code == 502
    assert oauth.AWAY in page.text
    await assert_nothing_installed(started, page)


async def test_what_cannot_be_kept_is_not_installed(
    started: House, slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreError("/a/path: the disk is full")

    monkeypatch.setattr("database.installations.InstallationRows.save", full)
    page = await started.install(slack.code(ACME))
    assert page.status_code == 500
    assert "/a/path" not in page.text
    await assert_nothing_installed(started, page)


async def test_installing_again_brings_new_tokens_to_the_open_desk(
    started: House, slack: Slack
) -> None:
    await started.install(slack.code(ACME))
    slack.kill(ACME, "token_revoked")
    await started.install(slack.code(ACME, GRACE))
    await started.say("hello again", ACME)
    assert "You said: hello again" in slack.said(ACME)
    assert slack.made("chat.postMessage", ACME)
    assert started.opened == [ACME]
    assert [one.installer for one in started.ledger.installations()] == [GRACE]


# Whose is it?

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


# Tokens that expire


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


# Leaving


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


# Organisations


def somewhere(team: str) -> Json:
    """What Slack says beside an event in a workspace of an organisation that has the app."""
    authorized = {"enterprise_id": GRID, "team_id": team, "is_enterprise_install": True}
    return {"enterprise_id": GRID, "authorizations": [authorized]}


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
