"""Slack's rates: one message a second for each channel, a tier for each method; 429 faults."""

from collections.abc import AsyncIterator

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.clock import Clock
from tests.slack_interface.local_workspace.conftest import Script


@pytest.fixture
async def paced() -> AsyncIterator[LocalWorkspace]:
    async with LocalWorkspace() as running:
        yield running


@pytest.fixture
def hasty(paced: LocalWorkspace) -> AsyncWebClient:
    return AsyncWebClient(paced.bot_token, base_url=paced.api_url)


@pytest.fixture
def clock(paced: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The workspace's; it goes on only where a test says so."""
    clock = paced.runtime.clock
    monkeypatch.setattr(clock, "now", lambda: clock._virtual)
    return clock


async def test_one_message_a_second_for_each_channel(clock: Clock, hasty: AsyncWebClient) -> None:
    await hasty.chat_postMessage(channel="C0GENERAL", text="one")
    with pytest.raises(SlackApiError) as problem:
        await hasty.chat_postMessage(channel="C0GENERAL", text="two")
    response = problem.value.response
    assert (response.status_code, response["error"]) == (429, "ratelimited")
    assert response.headers["Retry-After"] == "1"
    await hasty.chat_postMessage(channel="C0ENGINEERING", text="elsewhere")
    clock.advance(1)
    await hasty.chat_postMessage(channel="C0GENERAL", text="two")


async def test_the_sdk_waits_as_long_as_it_is_told(
    paced: LocalWorkspace, hasty: AsyncWebClient
) -> None:
    hasty.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    for text in ("one", "two"):
        await hasty.chat_postMessage(channel="C0GENERAL", text=text)
    assert len(paced.runtime.workspace.channels["C0GENERAL"].messages) == 2


async def test_each_method_has_its_tier(
    paced: LocalWorkspace, clock: Clock, hasty: AsyncWebClient
) -> None:
    for _ in range(20):
        await hasty.users_list()
    with pytest.raises(SlackApiError) as problem:
        await hasty.users_list()
    assert problem.value.response.status_code == 429
    assert problem.value.response.headers["Retry-After"] == "3"
    await hasty.users_info(user="U0ADA")
    paced.runtime.set_faults({"pacing": False})
    await hasty.users_list()


async def test_bursts_of_429_and_500(client: AsyncWebClient, script: Script) -> None:
    await script.post("faults", rate_limit=1)
    with pytest.raises(SlackApiError) as problem:
        await client.auth_test()
    assert problem.value.response.status_code == 429
    await script.post("faults", rate_limit=0, errors=1)
    with pytest.raises(SlackApiError) as problem:
        await client.auth_test()
    assert (problem.value.response.status_code, problem.value.response["error"]) == (
        500,
        "internal_error",
    )
    await script.post("faults", errors=0)
    log = (await script.get("/_control/log?kind=api"))["log"]
    assert [(row["status"], row["error"]) for row in log] == [
        (429, "ratelimited"),
        (500, "internal_error"),
    ]
