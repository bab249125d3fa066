"""The whole path by keyboard alone: find, write, answer, react, rate, and come back."""

from playwright.async_api import Page, expect

from tests.slack_interface.local_workspace.browser.conftest import World


async def tab_to(page: Page, selector: str, limit: int = 60) -> None:
    for _ in range(limit):
        if await page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reached {selector}")


async def test_a_conversation_without_a_pointer(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    keys = page.keyboard
    await page.locator("body").press("Tab")
    await tab_to(page, "[data-testid=channel-general]")
    await keys.press("End")
    await expect(page.get_by_test_id("assistant-dm")).to_be_focused()
    await keys.press("Enter")
    await expect(page.get_by_test_id("composer")).to_be_focused()
    await keys.type("hello")
    await keys.press("Shift+Enter")
    await keys.type("again")
    await keys.press("Enter")
    thread = page.get_by_test_id("thread")
    await expect(thread.get_by_test_id("message").first).to_contain_text("helloagain")
    await expect(page.get_by_test_id("thread-composer")).to_be_focused()
    good = page.get_by_role("button", name="Good answer")
    await expect(good).to_be_visible()
    await tab_back_to(page, "[data-testid=thread] .message")
    await tab_to(page, ".rate")
    await keys.press("Enter")
    await expect(good).to_have_attribute("aria-pressed", "true")
    await expect(good).to_be_focused()
    await keys.press("Escape")
    await expect(thread).to_have_count(0)
    await expect(page.get_by_test_id("message")).to_be_focused()


async def tab_back_to(page: Page, selector: str, limit: int = 30) -> None:
    for _ in range(limit):
        if await page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        await page.keyboard.press("Shift+Tab")
    raise AssertionError(f"Shift+Tab never reached {selector}")


async def test_messages_are_walked_with_arrows_and_acted_on_with_letters(world: World) -> None:
    for text in ("first", "second", "third"):
        await world.bot.chat_postMessage(channel="C0GENERAL", text=text)
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    messages = page.get_by_test_id("message")
    await expect(messages).to_have_count(3)
    await tab_back_to(page, ".message")
    await expect(messages.nth(2)).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(messages.nth(1)).to_be_focused()
    await page.keyboard.press("r")
    await page.keyboard.type("rocket")
    await page.keyboard.press("Enter")
    await expect(messages.nth(1).get_by_test_id("reaction-rocket")).to_be_visible()
    await messages.nth(1).focus()
    await page.keyboard.press("t")
    await expect(page.get_by_test_id("thread").get_by_test_id("message")).to_contain_text("second")


async def test_the_last_own_message_is_edited_with_arrow_up(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    composer = page.get_by_test_id("composer")
    await composer.fill("one")
    await composer.press("Enter")
    await expect(page.get_by_test_id("message")).to_be_visible()
    await composer.press("ArrowUp")
    field = page.get_by_test_id("edit-field")
    await expect(field).to_be_focused()
    await field.press("Escape")
    await expect(page.get_by_test_id("message")).to_be_focused()


async def test_a_menu_follows_arrows_and_gives_focus_back(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    switcher = page.get_by_test_id("person-switcher")
    await switcher.press("Enter")
    await expect(page.get_by_test_id("person-grace")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_test_id("person-grace")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(switcher).to_be_focused()
    await expect(switcher).to_have_attribute("aria-expanded", "false")


async def test_a_message_keeps_the_focus_while_others_act_on_it(world: World) -> None:
    posted = await world.bot.chat_postMessage(channel="C0GENERAL", text="look")
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    message = page.get_by_test_id("message")
    button = message.get_by_role("button", name="More actions")
    await button.focus()
    for name in ("rocket", "eyes"):
        await world.bot.reactions_add(channel="C0GENERAL", timestamp=posted["ts"], name=name)
        await expect(message.get_by_test_id(f"reaction-{name}")).to_be_visible()
        await expect(button).to_be_focused()
        button = message.get_by_test_id("reaction-rocket")
        await button.focus()
    await button.press("Enter")
    await expect(button).to_have_accessible_name("rocket, 2")
    await expect(button).to_be_focused()


async def test_conversations_are_found_by_name(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("engin")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="engineering", level=1)).to_be_visible()


async def test_new_messages_are_announced(world: World) -> None:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    await world.bot.chat_postMessage(channel="C0GENERAL", text="*Hear* this")
    await expect(page.locator("#announcer")).to_have_text("Virtuous6: Hear this")
