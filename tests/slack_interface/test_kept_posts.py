"""Posts that are rewritten and answered below, over restarts and while Slack is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from orchestrator.policy import Policy
from slack_interface.outgoing import Outgoing, Post
from slack_interface.proactive import Proactive
from slack_interface.sends import Sends
from slack_interface.voice import Voice
from slack_interface.web_client import web_client
from tests.patience import PATIENCE_S
from tests.people import ADA, BOT, Json, eventually
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.world import World

GENERAL = "C0GENERAL"
BLOCKS: list[Json] = [{"type": "section", "text": {"type": "mrkdwn", "text": "a card"}}]


@asynccontextmanager
async def sending(world: World, url: str = "") -> AsyncIterator[Outgoing]:
    """A process that sends posts."""
    async with aiohttp.ClientSession() as session:
        url = url or world.workspace.api_url
        client = web_client(world.workspace.bot_token, url, session)
        voice = Voice(client, Sends(client, world.rows, BOT))
        outgoing = Outgoing(world.rows, voice, gap_s=0.01, pause_s=0.01)
        await outgoing.start()
        yield outgoing
        await outgoing.close()


async def settled(outgoing: Outgoing) -> None:
    await asyncio.wait_for(outgoing.idle(), PATIENCE_S)


async def shown(world: World, thread: str = "") -> list[Json]:
    more = f"?thread_ts={thread}" if thread else ""
    found = (await world.get(f"messages/{GENERAL}{more}"))["messages"]
    return [message for message in found if message.get("user") == BOT]


def version(number: int, text: str, blocks: list[Json] | None = None) -> Post:
    return Post(f"card:{number}", GENERAL, text, blocks, rewrites="card")


async def test_a_card_is_rewritten_in_its_place_by_a_later_process(quiet_world: World) -> None:
    async with sending(quiet_world) as outgoing:
        assert await outgoing.post(version(1, "waits", BLOCKS))
        await settled(outgoing)
    async with sending(quiet_world) as outgoing:
        assert not await outgoing.post(version(1, "waits", BLOCKS))
        assert await outgoing.post(version(2, "decided"))
        await settled(outgoing)
        [kept] = await outgoing.kept()
    [card] = await shown(quiet_world)
    assert (card["text"], card["ts"], card.get("blocks") or []) == ("decided", kept.ts, [])
    assert (kept.post_id, kept.shown) == ("card", "card:2")


async def test_what_waits_when_the_process_ends_is_shown_by_the_next(quiet_world: World) -> None:
    async with aiohttp.ClientSession() as session:
        client = web_client(quiet_world.workspace.bot_token, "http://127.0.0.1:9/api/", session)
        away = Outgoing(quiet_world.rows, Voice(client, Sends(client, quiet_world.rows, BOT)))
        for post in (version(1, "waits"), version(2, "decided"), Post("r", GENERAL, "it helped",
                                                                      under="card")):  # fmt: skip
            assert await away.post(post)
    async with sending(quiet_world) as outgoing:
        await settled(outgoing)
    card, *below = await shown(quiet_world)
    assert card["text"] == "decided"
    replies = [m["text"] for m in await shown(quiet_world, card["ts"]) if m["ts"] != card["ts"]]
    assert replies == ["it helped"]
    assert below == []


async def test_a_lost_answer_makes_no_second_card(quiet_world: World, refusals: Refusals) -> None:
    refusals.lose("chat.postMessage", times=2)
    refusals.lose("chat.update", times=2)
    async with sending(quiet_world, refusals.url) as outgoing:
        await outgoing.post(version(1, "waits"))
        await outgoing.post(version(2, "decided"))
        await settled(outgoing)
    assert [card["text"] for card in await shown(quiet_world)] == ["decided"]


@pytest.mark.parametrize("error", ["unknown_method", "cant_update_message"])
async def test_what_cannot_be_rewritten_is_said_below(
    quiet_world: World, refusals: Refusals, error: str
) -> None:
    refusals.refuse("chat.update", error)
    async with sending(quiet_world, refusals.url) as outgoing:
        await outgoing.post(version(1, "waits"))
        await outgoing.post(version(2, "decided"))
        await settled(outgoing)
        assert not await outgoing.post(version(2, "decided"))
    [card] = await shown(quiet_world)
    assert card["text"] == "waits"
    assert [m["text"] for m in await shown(quiet_world, card["ts"])][-1] == "decided"


async def test_refused_blocks_leave_the_words(quiet_world: World, refusals: Refusals) -> None:
    async with sending(quiet_world, refusals.url) as outgoing:
        await outgoing.post(version(1, "waits", BLOCKS))
        await settled(outgoing)
        refusals.refuse("chat.update", "invalid_blocks", times=1)
        await outgoing.post(version(2, "decided", BLOCKS))
        await settled(outgoing)
    [card] = await shown(quiet_world)
    assert (card["text"], card.get("blocks") or []) == ("decided", [])


async def test_what_was_posted_already_takes_no_place_of_the_day(quiet_world: World) -> None:
    policy = Policy(quiet_world.store.policy)
    await policy.set("improvement_posts_per_day", "2", ADA)
    async with sending(quiet_world) as outgoing:
        proactive = Proactive(policy, quiet_world.rows, outgoing)
        assert await proactive.post_improvement(version(1, "waits"))
        for _ in range(3):
            assert not await proactive.post_improvement(version(1, "waits"))
        assert not await proactive.post_improvement(Post("pattern", GENERAL, "p"), most=0.5)
        assert await proactive.post_improvement(Post("other", GENERAL, "other"))
        assert not await proactive.post_improvement(Post("third", GENERAL, "third"))
        await settled(outgoing)
    assert [card["text"] for card in await shown(quiet_world)] == ["waits", "other"]


class BusyChannel(Refusals):
    """Takes nothing for one channel."""

    async def _answer(self, request: web.Request) -> web.Response:
        if b"C0ENGINEERING" in await request.read():
            return web.json_response({"ok": False, "error": "internal_error"})
        return await super()._answer(request)


async def test_no_channel_waits_for_another(quiet_world: World) -> None:
    async with (
        BusyChannel(quiet_world.workspace.api_url) as slack,
        sending(quiet_world, slack.url) as outgoing,
    ):
        await outgoing.post(Post("busy", "C0ENGINEERING", "held up"))
        await outgoing.post(version(1, "waits"))

        async def is_shown() -> bool:
            return bool(await shown(quiet_world))

        await eventually(is_shown, "the other channel's post")
        assert outgoing.waits("busy")
