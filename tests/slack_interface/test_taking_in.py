"""What comes in, kept and understood; what goes out by itself, sent once."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from agents.ports import FileRef
from database.coordination import Coordination
from database.errors import InputError, UnknownName
from slack_interface.files import MAX_FILE_BYTES, ThreadFiles
from slack_interface.inbox import Inbox
from slack_interface.incoming import Incoming, SharedFile, message_from, plain_text
from slack_interface.members import Members
from slack_interface.outgoing import Outgoing, Post
from slack_interface.places import Places
from slack_interface.sends import Sends
from slack_interface.voice import Voice
from slack_interface.web_client import web_client
from tests.patience import PATIENCE_S
from tests.people import ADA, BOT, TEAM, Json
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.world import World


def incoming(key: str, thread: str = "1.0", text: str = "hello") -> Incoming:
    return Incoming(
        kind="message",
        key=key,
        app_id="A",
        team_id=TEAM,
        channel_id="C",
        channel_type="channel",
        user_id=ADA,
        text=text,
        ts=thread,
        thread_ts=thread,
        inputs={"a": "b"},
        files=(SharedFile(FileRef("F1", "a.txt", "text/plain", 3), "https://files.slack.com/a"),),
    )


def test_what_came_in_survives_the_disk_unchanged() -> None:
    item = incoming("k", text="über <b> & 🎉")
    assert Incoming.from_bytes(item.to_bytes()) == item


def test_a_log_line_about_it_has_no_words_of_the_person() -> None:
    assert "hello" not in str(incoming("k").described())


async def test_lanes_keep_order_and_a_failure_hurts_only_itself(tmp_path: Path) -> None:
    rows = Coordination.open(tmp_path)
    seen: list[str] = []

    async def handle(item: Incoming) -> None:
        await asyncio.sleep(0)
        if item.key == "b1":
            raise ValueError("boom")
        seen.append(item.key)

    inbox = Inbox(rows, handle)
    for key in ("a1", "a2", "b1", "b2", "a3"):
        assert await inbox.accept(incoming(key, thread=key[0]))
    assert not await inbox.accept(incoming("a1", thread="a"))
    await inbox.idle()
    assert [key for key in seen if key[0] == "a"] == ["a1", "a2", "a3"]
    assert "b2" in seen
    assert await rows.pending() == []
    assert not await inbox.accept(incoming("a1", thread="a"))
    await rows.close()


async def test_what_waited_behind_unfinished_work_resumes_in_order(tmp_path: Path) -> None:
    rows = Coordination.open(tmp_path)

    async def hang(item: Incoming) -> None:
        await asyncio.Event().wait()

    first = Inbox(rows, hang)
    for key in ("a1", "a2", "b1"):
        await first.accept(incoming(key, thread=key[0]))
    await first.close(grace_s=0.01)
    seen: list[str] = []

    async def handle(item: Incoming) -> None:
        seen.append(item.key)

    second = Inbox(rows, handle)
    assert await second.resume() == 3
    await second.idle()
    assert sorted(seen) == ["a1", "a2", "b1"]
    assert seen.index("a1") < seen.index("a2")
    assert await rows.pending() == []
    await rows.close()


async def test_what_cannot_be_read_any_more_keeps_nothing_else_from_being_done(
    tmp_path: Path,
) -> None:
    rows = Coordination.open(tmp_path)
    for number, old in enumerate((b"{}", b"no JSON", b"[]", b'{"files": [], "gone": 1}')):
        await rows.accept(f"old-{number}", "lane", old)
    await rows.accept("new", "lane", incoming("new").to_bytes())
    seen: list[str] = []

    async def handle(item: Incoming) -> None:
        seen.append(item.key)

    inbox = Inbox(rows, handle)
    assert await inbox.resume() == 1
    await inbox.idle()
    assert seen == ["new"]
    assert await rows.pending() == []
    await rows.close()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (f"<@{BOT}> hello", "hello"),
        (f"<@{BOT}|virtuous6>, hello", "hello"),
        (f"hello <@{BOT}>!", "hello !"),
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ("&amp;lt; stays", "&lt; stays"),
        ("see <https://a.b/c|the page>", "see the page (https://a.b/c)"),
        ("see <https://a.b/c>", "see https://a.b/c"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("in <#C1|general> by <@U2>", "in #general by <@U2>"),
        ("", ""),
    ],
)
def test_a_message_is_read_as_it_was_written(text: str, read: str) -> None:
    assert plain_text(text, BOT) == read


@pytest.mark.parametrize(
    "event",
    [
        {"user": BOT},
        {"user": "U1", "bot_id": "B1"},
        {"user": "U1", "subtype": "channel_join"},
        {"subtype": "bot_message"},
    ],
)
def test_bots_and_notices_are_not_people(event: Json) -> None:
    body = {"event": {"type": "message", "channel": "C1", "ts": "1.0", "text": "x"} | event}
    assert message_from(body, BOT) is None


@pytest.mark.parametrize(
    ("url", "size", "says"),
    [
        ("https://evil.example/file", 3, "not kept in Slack"),
        ("https://slack.com.evil.example/file", 3, "not kept in Slack"),
        ("http://files.slack.com/file", 3, "not kept in Slack"),
        ("https://files.slack.com/file", MAX_FILE_BYTES + 1, "larger than 20 MB"),
    ],
)
async def test_the_token_is_shown_to_slack_only(
    quiet_world: World, url: str, size: int, says: str
) -> None:
    async with aiohttp.ClientSession() as session:
        client = web_client("xoxb-1", quiet_world.workspace.api_url, session)
        files = ThreadFiles(client, (SharedFile(FileRef("F1", "a.txt", "text/plain", size), url),))
        with pytest.raises(InputError, match=says):
            await files.read("F1")
        with pytest.raises(UnknownName):
            await files.read("F2")


async def test_posts_wait_for_slack_keep_their_order_and_go_out_once(
    quiet_world: World, refusals: Refusals
) -> None:
    refusals.refuse("chat.postMessage", "internal_error", times=2)
    async with aiohttp.ClientSession() as session:
        client = web_client(quiet_world.workspace.bot_token, refusals.url, session)
        outgoing = Outgoing(
            quiet_world.rows,
            Voice(client, Sends(client, quiet_world.rows, BOT)),
            gap_s=0.01,
            pause_s=0.01,
        )
        await outgoing.start()
        for number in range(3):
            assert await outgoing.post(Post(f"p{number}", "C0GENERAL", f"note {number}"))
        assert not await outgoing.post(Post("p1", "C0GENERAL", "note 1"))
        await asyncio.wait_for(outgoing.idle(), PATIENCE_S)
        await outgoing.close()
    said = [m["text"] for m in (await quiet_world.get("messages/C0GENERAL"))["messages"]]
    assert said == ["note 0", "note 1", "note 2"]
    assert await quiet_world.rows.posts() == []


async def test_a_post_whose_answer_is_lost_is_looked_for_before_it_is_sent_again(
    quiet_world: World, refusals: Refusals
) -> None:
    refusals.lose("chat.postMessage", times=3)
    async with aiohttp.ClientSession() as session:
        client = web_client(quiet_world.workspace.bot_token, refusals.url, session)
        voice = Voice(client, Sends(client, quiet_world.rows, BOT))
        outgoing = Outgoing(quiet_world.rows, voice, gap_s=0.01, pause_s=0.01)
        await outgoing.start()
        for number in range(5):
            assert await outgoing.post(Post(f"p{number}", "C0GENERAL", f"note {number}"))
        await asyncio.wait_for(outgoing.idle(), PATIENCE_S)
        await outgoing.close()
    said = [m["text"] for m in (await quiet_world.get("messages/C0GENERAL"))["messages"]]
    assert said == [f"note {number}" for number in range(5)]
    assert refusals.lost["chat.postMessage"] == 0
    assert refusals.asked.count("chat.postMessage") == 5


async def test_a_post_that_can_never_go_out_does_not_block_the_others(world: World) -> None:
    async with aiohttp.ClientSession() as session:
        client = web_client(world.workspace.bot_token, world.workspace.api_url, session)
        await world.rows.queue_post(
            "old",
            "C0GENERAL",
            b'{"post_id":"old","channel_id":'
            b'"C0GENERAL","text":"left over","blocks":null,"thread_ts":""}',
        )
        outgoing = Outgoing(world.rows, Voice(client, Sends(client, world.rows, BOT)), gap_s=0.01)
        await outgoing.start()
        await outgoing.post(Post("bad", "C0NOWHERE", "lost"))
        await outgoing.post(Post("good", "C0GENERAL", "found"))
        await asyncio.wait_for(outgoing.idle(), PATIENCE_S)
        await outgoing.close()
    said = [m["text"] for m in (await world.get("messages/C0GENERAL"))["messages"]]
    assert said == ["left over", "found"]


async def test_a_place_that_slack_does_not_describe_counts_as_private(
    quiet_world: World, refusals: Refusals
) -> None:
    refusals.refuse("conversations.info", "missing_scope")
    refusals.refuse("users.conversations", "missing_scope")
    async with aiohttp.ClientSession() as session:
        client = web_client(quiet_world.workspace.bot_token, refusals.url, session)
        places = Places(client, Members(client))
        assert await places.channel_type("C0GENERAL") == "group"
        assert (await places.reader(ADA)).channels == frozenset()
