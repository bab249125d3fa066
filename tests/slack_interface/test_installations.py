"""Installing the app from our page: who may, what can go wrong, what is kept."""

from html import unescape
from pathlib import Path

import pytest

from database.errors import StoreError
from slack_interface import oauth
from slack_interface.manifest import bot_scopes
from tests.clock import Clock
from tests.people import GRACE, Json
from tests.slack_interface.many import (
    ACME,
    CLIENT,
    SECRET,
    House,
    Slack,
    house,
    on_disk,
    texts,
)


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
