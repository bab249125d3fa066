"""On a phone: the sidebar is a drawer, a thread fills the screen, nothing sticks out."""

from playwright.async_api import Page, expect

from tests.slack_interface.local_workspace.browser import gallery
from tests.slack_interface.local_workspace.browser.conftest import World


async def phone(world: World, hash_: str) -> Page:
    return await world.open(hash_, width=390, height=844)


async def width(page: Page) -> int:
    return int(await page.evaluate("document.documentElement.scrollWidth"))


async def test_drawer_conversation_and_full_thread(world: World) -> None:
    page = await phone(world, "user=U0ADA&channel=C0GENERAL")
    sidebar_entry = page.get_by_test_id("assistant-dm")
    await expect(sidebar_entry).to_be_hidden()
    await page.get_by_test_id("drawer-button").click()
    await sidebar_entry.click()
    await expect(sidebar_entry).to_be_hidden()
    await page.get_by_test_id("composer").fill("hello")
    await page.get_by_role("button", name="Send").click()
    thread = page.get_by_test_id("thread")
    await expect(thread.get_by_test_id("message").nth(1)).to_contain_text("Hello there")
    box = await thread.bounding_box()
    assert box is not None
    assert (box["x"], box["width"], box["height"]) == (0, 390, 844)
    await page.get_by_role("button", name="Back to the channel").click()
    await expect(thread).to_have_count(0)
    await expect(page.get_by_test_id("reply-bar")).to_be_visible()
    assert await width(page) == 390


async def test_every_block_fits(world: World) -> None:
    for blocks in (
        gallery.TEXT_BLOCKS,
        gallery.ACTION_BLOCKS,
        gallery.AGENT_BLOCKS,
        [gallery.PIE, gallery.chart("bar", "Runs")],
        [gallery.DATA_TABLE],
    ):
        await world.bot.chat_postMessage(channel="C0GENERAL", text="x", blocks=blocks)
    page = await phone(world, "user=U0ADA&channel=C0GENERAL")
    await expect(page.get_by_test_id("message")).to_have_count(5)
    wide = await page.evaluate(
        """() => [...document.querySelectorAll(".block")]
            .filter((b) => b.getBoundingClientRect().right > 390).map((b) => b.className)"""
    )
    assert wide == []
    assert await width(page) == 390


async def test_a_modal_fills_the_screen(world: World) -> None:
    page = await phone(world, "user=U0ADA&channel=C0GENERAL")
    await page.get_by_test_id("composer").fill("/why ")
    await page.get_by_test_id("composer").press("Enter")
    modal = page.get_by_test_id("modal")
    await expect(modal).to_be_visible()
    box = await modal.bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (390, 844)
