"""Talking: as each person, in threads, with reactions, files, edits, and everything live."""

import asyncio

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.slack_interface.local_workspace.browser.conftest import World


async def say(page: Page, text: str, where: str = "composer") -> None:
    await page.get_by_test_id(where).fill(text)
    await page.get_by_test_id(where).press("Enter")


@pytest.mark.parametrize(
    ("person", "name"),
    [("U0ADA", "Ada Lovelace"), ("U0GRACE", "Grace Hopper"), ("U0ALAN", "Alan Turing")],
)
async def test_a_person_asks_and_sees_the_streamed_answer(
    world: World, person: str, name: str
) -> None:
    page = await world.open(f"user={person}")
    await say(page, "hello <b>you</b>")
    thread = page.get_by_test_id("thread")
    await expect(thread.get_by_test_id("message").first).to_contain_text("hello <b>you</b>")
    answer = thread.get_by_test_id("message").nth(1)
    await expect(answer).to_contain_text(f"Hello there, @{name}.")
    await expect(answer.locator("strong", has_text="there")).to_be_visible()
    await expect(answer.get_by_role("button", name="Good answer")).to_be_visible()
    await expect(page.get_by_test_id("reply-bar")).to_contain_text("1 reply")
    await expect(page.get_by_test_id("stop")).to_have_count(0)
    await expect(page.get_by_test_id("thread-composer")).to_be_focused()


async def test_the_person_switcher_changes_who_speaks(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    await page.get_by_test_id("person-switcher").click()
    await page.get_by_test_id("person-grace").click()
    await expect(page.get_by_test_id("person-switcher")).to_contain_text("Grace Hopper")
    await expect(page.get_by_test_id("connection")).to_have_text("App connected")
    await say(page, "good morning")
    await expect(page.get_by_test_id("message")).to_contain_text("Grace Hopper")
    await page.get_by_test_id("person-switcher").click()
    await page.get_by_test_id("person-alan").click()
    await expect(page.get_by_test_id("person-switcher")).to_contain_text("Alan Turing")
    await expect(page.get_by_test_id("channel-leadership")).to_have_count(0)


async def test_others_see_it_live_and_unread_elsewhere(world: World) -> None:
    ada = await world.open("user=U0ADA&channel=C0GENERAL")
    grace = await world.open("user=U0GRACE&channel=C0ENGINEERING")
    await say(ada, "news for @Grace Hopper in #engineering")
    await expect(grace.get_by_test_id("channel-general")).to_contain_text("1")
    await grace.get_by_test_id("channel-general").click()
    message = grace.get_by_test_id("message")
    await expect(message.locator(".mention-me")).to_have_text("@Grace Hopper")
    await expect(message.get_by_role("link", name="#engineering")).to_be_visible()
    await expect(grace.get_by_test_id("channel-general")).not_to_contain_text("1")


async def test_a_mention_is_answered_in_a_thread_and_a_reload_stays_there(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    await say(page, "@Virtuous6 are you there?")
    await expect(page.get_by_test_id("reply-bar")).to_contain_text("You called?")
    await page.get_by_test_id("reply-bar").click()
    await say(page, "yes, thanks", "thread-composer")
    thread = page.get_by_test_id("thread")
    await expect(thread.get_by_test_id("message")).to_have_count(3)
    await expect(page.get_by_test_id("reply-bar")).to_contain_text("2 replies")
    await page.reload()
    await expect(thread.get_by_test_id("message")).to_have_count(3)
    await page.get_by_role("button", name="Close thread").click()
    await expect(thread).to_have_count(0)


async def test_reactions_are_toggled_and_counted(world: World) -> None:
    posted = await world.bot.chat_postMessage(channel="C0GENERAL", text="Vote!")
    ada = await world.open("user=U0ADA&channel=C0GENERAL")
    grace = await world.open("user=U0GRACE&channel=C0GENERAL")
    await ada.get_by_test_id("message").hover()
    await ada.get_by_role("button", name="Add reaction").click()
    await ada.get_by_label("Find an emoji").fill("tada")
    await ada.get_by_role("button", name="tada", exact=True).click()
    await grace.get_by_test_id("reaction-tada").click()
    pill = ada.get_by_test_id("reaction-tada")
    await expect(pill).to_have_attribute("aria-label", "tada, 2")
    await expect(pill).to_have_attribute("aria-pressed", "true")
    await pill.click()
    await expect(pill).to_have_attribute("aria-label", "tada, 1")
    await expect(pill).to_have_attribute("aria-pressed", "false")
    stored = await world.bot.reactions_get(channel="C0GENERAL", timestamp=posted["ts"])
    assert stored["message"]["reactions"][0]["users"] == ["U0GRACE"]


async def test_own_messages_are_edited_and_deleted(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    await say(page, "a tpyo for @Grace Hopper & <all>")
    message = page.get_by_test_id("message")
    await message.hover()
    await message.get_by_role("button", name="Edit message").click()
    field = page.get_by_test_id("edit-field")
    await expect(field).to_have_value("a tpyo for @Grace Hopper & <all>")
    await field.fill("a typo for @Grace Hopper & <all>")
    await field.press("Enter")
    await expect(message).to_contain_text("a typo for @Grace Hopper & <all>")
    await expect(message).to_contain_text("(edited)")
    history = await world.bot.conversations_history(channel="C0GENERAL")
    assert history["messages"][0]["text"] == "a typo for <@U0GRACE> &amp; &lt;all&gt;"
    await message.get_by_role("button", name="Delete message").click()
    await page.get_by_test_id("confirm").get_by_role("button", name="Delete").click()
    await expect(message).to_have_count(0)


async def test_others_messages_cannot_be_edited(world: World) -> None:
    await world.bot.chat_postMessage(channel="C0GENERAL", text="mine")
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    message = page.get_by_test_id("message")
    await message.hover()
    await expect(message.get_by_role("button", name="Add reaction")).to_be_visible()
    await expect(message.get_by_role("button", name="Edit message")).to_have_count(0)


async def test_a_file_is_shared_by_button(world: World) -> None:
    page = await world.open()
    await page.get_by_test_id("composer-file").set_input_files(
        {"name": "numbers.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"}
    )
    await expect(page.locator(".file-chip")).to_contain_text("numbers.csv")
    await say(page, "please read this")
    thread = page.get_by_test_id("thread")
    await expect(thread.get_by_test_id("message").nth(1)).to_contain_text("Got numbers.csv")
    card = thread.get_by_test_id("file")
    response = await page.request.get(f"{world.workspace.url}{await card.get_attribute('href')}")
    assert await response.body() == b"a,b\n1,2\n"


async def test_a_file_is_dropped_on_the_conversation(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    transfer = await page.evaluate_handle(
        """() => {
          const d = new DataTransfer();
          d.items.add(new File(["x"], "dropped.txt", { type: "text/plain" }));
          return d;
        }"""
    )
    await page.dispatch_event("main", "dragover", {"dataTransfer": transfer})
    await page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    await expect(page.locator(".file-chip")).to_contain_text("dropped.txt")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_test_id("file")).to_contain_text("dropped.txt")


async def test_the_stop_button_stops_the_assistant(world: World) -> None:
    page = await world.open()
    await say(page, "wait for me")
    thread = page.get_by_test_id("thread")
    await expect(thread.get_by_test_id("status")).to_contain_text("is thinking…")
    await expect(thread.get_by_test_id("stop")).to_be_visible()
    world.app.go_on.set()
    await expect(thread.get_by_test_id("message").nth(1)).to_contain_text("Hello there,")
    await thread.get_by_test_id("stop").click()
    await expect(thread.get_by_test_id("message").nth(2)).to_contain_text("I stopped.")
    await expect(thread.locator(".streaming")).to_have_count(0)
    await expect(thread.get_by_test_id("stop")).to_have_count(0)
    await expect(thread.get_by_test_id("status")).to_have_count(0)


async def test_a_suggested_prompt_is_sent(world: World) -> None:
    page = await world.open()
    await page.get_by_test_id("prompt").filter(has_text="Greet").click()
    thread = page.get_by_test_id("thread")
    await expect(thread.get_by_test_id("message").first).to_contain_text("hello from a prompt")
    await expect(page.get_by_test_id("prompt")).to_have_count(0)


async def test_an_ephemeral_message_is_seen_by_one_person_and_dismissed(world: World) -> None:
    page = await world.open()
    await say(page, "whisper something")
    whisper = page.get_by_test_id("thread").get_by_test_id("message").nth(1)
    await expect(whisper).to_contain_text("Only visible to you")
    await expect(whisper).to_contain_text("Between us")
    await whisper.hover()
    await whisper.get_by_role("button", name="Dismiss").click()
    await expect(page.get_by_test_id("thread").get_by_test_id("message")).to_have_count(1)


async def test_home_is_published_and_its_buttons_work(world: World) -> None:
    page = await world.open()
    await page.get_by_test_id("home-tab").click()
    home = page.get_by_test_id("home")
    await expect(home.get_by_role("heading", name="Your recent runs")).to_be_visible()
    await home.get_by_role("button", name="Refresh").click()
    await expect(home).to_contain_text("Fresh as of now")
    await page.get_by_test_id("messages-tab").click()
    await expect(page.get_by_test_id("composer")).to_be_visible()


async def test_a_lost_connection_comes_back_with_what_was_missed(world: World) -> None:
    page = await world.page()
    sockets: list[WebSocketRoute] = []
    go_on = asyncio.Event()

    async def connect(route: WebSocketRoute) -> None:
        sockets.append(route)
        if len(sockets) > 1:
            await go_on.wait()
        route.connect_to_server()

    await page.route_web_socket("**/_page/live*", connect)
    await page.goto(f"{world.workspace.url}/#user=U0ADA&channel=C0GENERAL")
    await expect(page.get_by_test_id("connection")).to_have_text("App connected")
    await sockets[0].close()
    await expect(page.get_by_test_id("connection")).to_have_text("Reconnecting…")
    await world.bot.chat_postMessage(channel="C0GENERAL", text="while you were away")
    go_on.set()
    await expect(page.get_by_test_id("message")).to_contain_text("while you were away")
    await expect(page.get_by_test_id("connection")).to_have_text("App connected")
    assert len(sockets) >= 2


async def test_a_message_shortcut_reaches_the_app(world: World) -> None:
    await world.bot.chat_postMessage(channel="C0GENERAL", text="worth keeping")
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    message = page.get_by_test_id("message").first
    await message.hover()
    await message.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Save this").click()
    await expect(page.get_by_test_id("message").nth(1)).to_contain_text("Saved: worth keeping")


async def test_a_permalink_opens_its_message(world: World) -> None:
    posted = await world.bot.chat_postMessage(channel="C0ENGINEERING", text="linked")
    link = await world.bot.chat_getPermalink(channel="C0ENGINEERING", message_ts=posted["ts"])
    page = await world.page()
    await page.goto(link["permalink"])
    await expect(page.get_by_test_id("thread").get_by_test_id("message")).to_contain_text("linked")
    await expect(page.get_by_role("heading", name="engineering", level=1)).to_be_visible()


async def test_the_whole_text_is_copied(world: World) -> None:
    text = "a long line " * 40 + "with its *end*"
    await world.bot.chat_postMessage(channel="C0GENERAL", text=text)
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    message = page.get_by_test_id("message")
    await message.hover()
    await message.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Copy text").click()
    await expect(page.get_by_test_id("toast")).to_contain_text("Text copied")
    assert await page.evaluate("navigator.clipboard.readText()") == text


async def test_a_thread_fetched_late_does_not_undo_what_happened_meanwhile(world: World) -> None:
    said = await world.bot.chat_postMessage(channel="C0GENERAL", text="the first wording")
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    first = page.get_by_test_id("message").filter(has_text="the first wording")
    await expect(first).to_be_visible()

    async def answer_late(route: Route) -> None:
        stale = await route.fetch()
        await world.bot.chat_update(channel="C0GENERAL", ts=said["ts"], text="the second wording")
        await expect(page.get_by_text("the second wording").first).to_be_visible()
        await route.fulfill(response=stale)

    await page.route("**/_page/history*thread_ts=*", answer_late)
    async with page.expect_response("**/_page/history*thread_ts=*"):
        await first.hover()
        await first.get_by_role("button", name="Reply in thread").click()
    in_thread = page.get_by_test_id("thread").get_by_test_id("message")
    await expect(in_thread).to_contain_text("the second wording")
    await expect(page.get_by_text("the first wording")).to_have_count(0)
