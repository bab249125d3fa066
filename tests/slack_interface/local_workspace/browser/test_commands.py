"""Slash commands: completion with hints, the answer, and a clear refusal in threads."""

from playwright.async_api import expect

from tests.slack_interface.local_workspace.browser.conftest import World


async def test_a_command_is_completed_and_answered(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    composer = page.get_by_test_id("composer")
    await composer.press_sequentially("/")
    offers = page.get_by_test_id("completion")
    await expect(offers.get_by_role("option")).to_have_count(3)
    await expect(offers).to_contain_text("/metrics[days]Success, speed and cost")
    await composer.press_sequentially("ec")
    await expect(offers.get_by_role("option")).to_have_count(1)
    await composer.press("Enter")
    await expect(composer).to_have_value("/echo ")
    await expect(page.locator(".composer-hint")).to_have_text("/echo words")
    await composer.press_sequentially("one  two")
    await composer.press("Enter")
    answer = page.get_by_test_id("message")
    await expect(answer).to_contain_text("You said: one  two")
    await expect(answer).to_contain_text("Only visible to you")
    await expect(composer).to_have_value("")


async def test_a_command_is_refused_in_a_thread_and_nothing_is_lost(world: World) -> None:
    posted = await world.bot.chat_postMessage(channel="C0GENERAL", text="root")
    page = await world.open(f"user=U0ADA&channel=C0GENERAL&thread={posted['ts']}")
    composer = page.get_by_test_id("thread-composer")
    await composer.fill("/echo hello")
    await composer.press("Enter")
    await expect(page.get_by_test_id("toast")).to_contain_text("do not work in threads")
    await expect(composer).to_have_value("/echo hello")
    await expect(page.get_by_test_id("thread").get_by_test_id("message")).to_have_count(1)


async def test_an_unknown_command_is_refused_and_kept(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    composer = page.get_by_test_id("composer")
    await composer.fill("/nonsense now")
    await composer.press("Enter")
    await expect(page.get_by_test_id("toast")).to_contain_text("/nonsense is not a command here")
    await expect(composer).to_have_value("/nonsense now")


async def test_people_and_channels_are_completed(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    composer = page.get_by_test_id("composer")
    await composer.press_sequentially("ask @gra")
    await page.get_by_test_id("completion").get_by_role("option", name="Grace Hopper").click()
    await expect(composer).to_have_value("ask @Grace Hopper ")
    await composer.press_sequentially("in #eng")
    await composer.press("Tab")
    await expect(composer).to_have_value("ask @Grace Hopper in #engineering ")
    await composer.press("Enter")
    await expect(page.get_by_test_id("message")).to_be_visible()
    history = await world.bot.conversations_history(channel="C0GENERAL")
    text = history["messages"][0]["text"]
    assert text == "ask <@U0GRACE> in <#C0ENGINEERING|engineering>"
