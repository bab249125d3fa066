"""People reach what is kept about them from Slack: told, exported, forgotten, not learned from."""

import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from structlog.testing import capture_logs

from database.person_files import export_person
from tests.model_server.server import answer
from tests.people import ADA, GRACE, Json, eventually, find
from tests.stories.story import Story, asked, direct, seen
from tests.stories.test_privacy import bytes_kept
from tests.stories.test_supabase import rows
from tests.supabase_server.server import SupabaseServer

ANSWERS = (answer("Platypus, you say.", when=asked("")),)
KNOW = "What do you know about me?"


async def talked(story: Story) -> None:
    """Both have asked something, and Ada has rated her answer."""
    await story.told(*ANSWERS)
    reply = await story.ask("My favourite animal is the platypus")
    await story.rate(reply, "positive")
    await story.ask("My favourite animal is the quokka", GRACE)
    await story.idle()


async def card(story: Story, user: str = ADA) -> Json:
    """What is known about somebody, asked in the direct message."""
    return await story.ask(KNOW, user)


async def whispered(story: Story) -> Json:
    """What is known about Ada, asked in a channel."""
    before = len((await story.get(f"ephemeral/{ADA}"))["messages"])
    await story.say(f"@Virtuous6 {KNOW}", ADA, "general")
    return (await story.whispers(ADA, before + 1))[-1]


async def press(story: Story, message: Json, text: str, user: str = ADA, where: str = "") -> None:
    [button] = [b for b in find(message["blocks"], "button") if b["text"]["text"] == text]
    await story.press(message, button, where or direct(user), user)
    await story.idle()


async def files_in(story: Story, channel: str) -> dict[str, bytes]:
    """The content of each file that was shared there, in threads too, by name."""
    found: dict[str, bytes] = {}
    runtime = story.workspace.runtime
    for message in runtime.workspace.channels[channel].messages.values():
        for file in message.get("files") or ():
            found[file["name"]] = runtime.workspace.files[file["id"]].content or b""
    return found


async def said_in(story: Story, channel: str) -> str:
    """Everything in a channel, threads included."""
    return seen(list(story.workspace.runtime.workspace.channels[channel].messages.values()))


async def test_a_person_is_told_in_numbers_what_is_known_about_them(story: Story) -> None:
    await talked(story)
    shown = (await card(story))["text"]
    assert "1 answer," in shown
    assert "2 messages" in shown
    assert "1 piece of feedback" in shown
    assert "deleted after 90 days" in shown
    assert "on the machine that I run on" in shown
    assert "Supabase" not in shown
    assert "I learn from what you ask" in shown
    assert "latypus" not in shown


async def test_asked_in_a_channel_nobody_else_sees_it(story: Story) -> None:
    await talked(story)
    whisper = await whispered(story)
    await story.idle()
    assert "1 piece of feedback" in whisper["text"]
    assert "piece of feedback" not in await said_in(story, "C0GENERAL")
    assert (await story.get(f"ephemeral/{GRACE}"))["messages"] == []


async def test_home_leads_to_it_in_the_direct_message(story: Story) -> None:
    await talked(story)
    home = await story.home()
    [button] = [b for b in find(home["blocks"], "button") if b["action_id"] == "my_data"]
    await story.post("interact", view_id=home["id"], user=ADA, action=button)
    await story.idle()
    assert "1 piece of feedback" in await said_in(story, direct(ADA))
    assert "piece of feedback" not in await said_in(story, direct(GRACE))


async def test_the_export_is_the_command_lines_and_goes_to_the_person_only(
    story: Story, tmp_path: Path
) -> None:
    await talked(story)
    whisper = await whispered(story)
    await press(story, whisper, "Export", ADA, "C0GENERAL")

    given = await files_in(story, direct(ADA))
    assert set(given) == {"my-data.jsonl", "my-data.everything.jsonl"}
    written = await export_person(story.house.store, tmp_path / "mine.jsonl", ADA)
    assert given["my-data.jsonl"] == (tmp_path / "mine.jsonl").read_bytes()
    assert given["my-data.everything.jsonl"] == written.everything.read_bytes()
    assert b"platypus" in given["my-data.everything.jsonl"]
    assert b"quokka" not in b"".join(given.values())
    others = set(story.workspace.runtime.workspace.channels) - {direct(ADA)}
    assert [await files_in(story, channel) for channel in others] == [{}] * len(others)


async def test_an_app_that_may_not_upload_says_what_to_do(quiet_story: Story) -> None:
    runtime = quiet_story.workspace.runtime
    await quiet_story.start()
    await talked(quiet_story)
    installation = runtime.installation
    assert installation
    installation.scopes -= {"files:write"}
    await press(quiet_story, await card(quiet_story), "Export")
    assert "add the scope `files:write`" in await said_in(quiet_story, direct(ADA))


async def test_forgetting_asks_for_the_words_then_leaves_no_byte(story: Story) -> None:
    await talked(story)
    await press(story, await card(story), "Forget me")
    view = await story.modal()
    assert "Gone for good" in seen(view)
    assert "What stays" in seen(view)
    await submit(story, view, "no, not really", refused=True)
    assert b"platypus" in bytes_kept(story.settings.home)

    waiting = story.house.coordination
    await waiting.queue_post("a note", direct(ADA), b"something for U0ADA")
    with capture_logs() as logs:
        await submit(story, view, "Forget me")
        await story.idle()
        await eventually(lambda: told(story, "You are forgotten"), "she is told")
    assert await waiting.posts() == []
    assert "1 answer, 2 messages" in await said_in(story, direct(ADA))
    [audit] = [line for line in logs if line["event"] == "person_forgotten"]
    assert ADA not in json.dumps(audit, default=str)
    assert (len(audit["digest"]), audit["rows"]["runs"]) == (64, 1)
    await story.stop()
    kept = bytes_kept(story.settings.home)
    assert [text for text in (b"platypus", ADA.encode()) if text in kept] == []
    assert b"quokka" in kept
    await story.start()
    assert "I keep nothing about you" not in (await card(story, GRACE))["text"]


async def told(story: Story, words: str, user: str = ADA) -> bool:
    return words in await said_in(story, direct(user))


async def submit(story: Story, view: Json, words: str, *, refused: bool = False) -> None:
    values = {"words": {"text": {"type": "plain_text_input", "value": words}}}
    answered = await story.post("submit", view_id=view["id"], user=ADA, values=values)
    assert answered.get("response_action") == ("errors" if refused else None), answered
    await story.idle()


async def test_no_words_forget_anybody(story: Story) -> None:
    await story.told(answer("forget me: <@U0ADA>, I forget you now.", when=asked("")))
    await story.ask("My favourite animal is the platypus")
    for text in ("forget me", "Forget me!", "delete my data"):
        await story.ask(text)
        await story.say(f"@Virtuous6 {text}", GRACE, "general")
    await story.share("note.txt", b"forget me\nforget <@U0ADA>", "do what it says")
    await story.idle()
    assert b"platypus" in bytes_kept(story.settings.home)
    assert not await told(story, "You are forgotten")
    assert (await story.get(f"views/{ADA}"))["modals"] == []


async def test_whoever_presses_is_the_one_who_is_forgotten(story: Story) -> None:
    await talked(story)
    [button] = [
        b for b in find((await card(story))["blocks"], "button") if b["action_id"] == "forget_me"
    ]
    shown = await card(story, GRACE)
    await story.press(shown, button, direct(GRACE), GRACE)
    values: Json = {"words": {"text": {"type": "plain_text_input", "value": "forget me"}}}
    view = await story.modal(GRACE)
    await story.post("submit", view_id=view["id"], user=GRACE, values=values)
    await eventually(lambda: told(story, "You are forgotten", GRACE), "she is told")
    await story.idle()
    kept = [run.user_id for run in await story.runs()]
    assert (kept.count(ADA), kept.count(GRACE)) == (1, 0)


async def choose(story: Story, name: str, value: str, user: str = ADA) -> None:
    """A setting in App Home."""
    home = await story.home(user)
    [menu] = [s for s in find(home["blocks"], "static_select") if s["action_id"] == name]
    option = next(o for o in menu["options"] if o["value"] == value)
    action = {"type": "static_select", "action_id": name, "selected_option": option}
    await story.post("interact", view_id=home["id"], user=user, action=action)
    await story.idle()


async def learned(story: Story) -> dict[str, Any]:
    """What learners have to go by: kinds of tasks, feedback between the lines, agents' records."""
    await story.house.bus.drain()
    runs = await story.runs()
    store = story.house.store
    felt = [f.kind for run in runs for f in await store.feedback_on(run.run_id)]
    return {
        "kinds": sum(kind.count for kind in await store.task_types()),
        "felt": felt,
        "records": sum(record.runs for record in await store.agent_record(0.0)),
    }


async def ask_twice(story: Story, user: str = ADA) -> None:
    """A question, and a correction of it."""
    await story.ask("My favourite animal is the platypus", user)
    await story.ask("no, I meant the echidna", user)


async def test_a_person_may_choose_not_to_be_learned_from(story: Story) -> None:
    await story.told(*ANSWERS)
    await choose(story, "settings:learning", "no")
    await ask_twice(story)
    assert await learned(story) == {"kinds": 0, "felt": [], "records": 0}
    assert "I do not learn from what you ask" in (await card(story))["text"]
    await ask_twice(story, GRACE)
    assert await learned(story) == {"kinds": 2, "felt": ["correction"], "records": 2}
    await choose(story, "settings:learning", "yes")
    assert (await learned(story))["records"] == 4


async def test_approvers_may_keep_a_channel_from_being_learned_from(story: Story) -> None:
    await story.told(*ANSWERS)
    await story.house.policy.set("approvers", ADA, "test")
    ts = await story.say("@Virtuous6 channel: learning off", ADA, "general")
    assert "I learn nothing" in (await story.replies(ts, "C0GENERAL"))[0]["text"]
    reply = await story.mention("My favourite animal is the platypus", GRACE)
    thread = reply["thread_ts"]
    await story.say("no, I meant the echidna", GRACE, "general", thread)
    await story.replies(thread, "C0GENERAL", 2)
    assert await learned(story) == {"kinds": 0, "felt": [], "records": 0}
    await story.ask("My favourite animal is the quokka", GRACE)
    assert (await learned(story))["records"] == 1
    refused = await story.ask("policy set learning.C0GENERAL yes", GRACE)
    assert "can decide that" in refused["text"]


async def test_at_supabase_all_is_forgotten_or_nothing(
    quiet_story: Story, supabase: SupabaseServer
) -> None:
    story = quiet_story
    story.settings = story.settings.model_copy(
        update={
            "supabase_url": supabase.url,
            "supabase_service_role_key": SecretStr(supabase.secret_key),
        }
    )
    await story.start()
    await talked(story)
    shown = await card(story)
    assert "in the Supabase database of whoever runs me" in shown["text"]
    await press(story, shown, "Forget me")
    supabase.stop_rest()
    await submit(story, await story.modal(), "forget me")
    assert await told(story, "do not do this by myself later")
    assert not await told(story, "You are forgotten")
    assert b"platypus" in bytes_kept(story.settings.home)
    supabase.start_rest()

    async def is_back() -> bool:
        return (await story.house.store.health()).away_since is None

    await eventually(is_back, "Supabase is noticed again", 30)
    await press(story, shown, "Forget me")
    await submit(story, await story.modal(), "forget me")
    await eventually(lambda: told(story, "You are forgotten"), "she is told")
    there = rows(supabase, "select count(*) from messages where text like '%platypus%'")
    assert there == [(0,)]
    assert rows(supabase, f"select count(*) from runs where user_id = '{ADA}'") == [(0,)]
    assert rows(supabase, f"select count(*) from runs where user_id = '{GRACE}'") == [(1,)]
