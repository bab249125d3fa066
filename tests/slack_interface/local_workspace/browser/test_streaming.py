"""Answers that grow: text, tasks and plans while they change, and the place one was reading."""

from playwright.async_api import expect

from tests.slack_interface.local_workspace.browser.conftest import World


async def test_text_grows_and_tasks_change_in_place(world: World) -> None:
    root = await world.bot.chat_postMessage(channel="C0GENERAL", text="root")
    stream = await world.bot.chat_startStream(
        channel="C0GENERAL",
        thread_ts=root["ts"],
        recipient_user_id="U0ADA",
        recipient_team_id="T0VIRTUOUS",
    )
    page = await world.open(f"user=U0ADA&channel=C0GENERAL&thread={root['ts']}")
    answer = page.get_by_test_id("thread").get_by_test_id("message").nth(1)

    async def append(*chunks: dict[str, str]) -> None:
        await world.bot.chat_appendStream(channel="C0GENERAL", ts=stream["ts"], chunks=list(chunks))

    reading = {"type": "task_update", "id": "t1", "title": "Read the sheet"}
    await append({**reading, "status": "in_progress"})
    await expect(answer.get_by_role("img", name="in progress")).to_be_visible()
    await expect(answer).to_have_attribute("aria-busy", "true")
    await append({**reading, "status": "complete", "output": "220 rows"})
    await expect(answer.get_by_role("img", name="done")).to_be_visible()
    await append({"type": "markdown_text", "text": "The total is **4"})
    await expect(answer).to_contain_text("The total is **4")
    await append({"type": "markdown_text", "text": "2**."})
    await expect(answer.locator("strong", has_text="42")).to_be_visible()
    await expect(page.locator("#announcer")).to_have_text("")
    await world.bot.chat_stopStream(channel="C0GENERAL", ts=stream["ts"])
    await expect(answer).to_have_attribute("aria-busy", "false")
    await expect(page.locator("#announcer")).to_contain_text("The total is 42.")


async def test_who_reads_above_is_not_moved_but_told(world: World) -> None:
    for n in range(40):
        await world.bot.chat_postMessage(channel="C0GENERAL", text=f"line {n}")
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    newest = page.get_by_text("line 39", exact=True)
    await expect(newest).to_be_in_viewport()
    await page.get_by_text("line 2", exact=True).scroll_into_view_if_needed()
    await world.bot.chat_postMessage(channel="C0GENERAL", text="line 40")
    jump = page.get_by_role("button", name="Newest messages")
    await expect(jump).to_be_visible()
    await expect(page.get_by_text("line 2", exact=True)).to_be_in_viewport()
    await jump.click()
    await expect(page.get_by_text("line 40", exact=True)).to_be_in_viewport()
    await expect(jump).to_be_hidden()


async def test_an_app_that_does_not_answer_is_reported(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    await page.get_by_test_id("composer").fill("/metrics 7")
    await page.get_by_test_id("composer").press("Enter")
    await expect(page.get_by_test_id("toast")).to_be_visible()
