"""Every block is drawn, safely, and what can be clicked reaches the app in Slack's shape."""

from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.slack_interface.local_workspace.browser import gallery
from tests.slack_interface.local_workspace.browser.conftest import World


async def post(world: World, blocks: list[dict[str, Any]]) -> tuple[Page, Locator]:
    await world.bot.chat_postMessage(channel="C0GENERAL", text="fallback", blocks=blocks)
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    message = page.get_by_test_id("message")
    await expect(message.locator(".block").first).to_be_visible()
    return page, message


async def test_text_blocks(world: World) -> None:
    page, message = await post(world, gallery.TEXT_BLOCKS)
    await expect(message.get_by_role("heading", name="Blocks of text")).to_be_visible()
    section = message.locator(".block-section").first
    for tag, words in (("strong", "bold"), ("em", "italic"), ("s", "gone"), ("code", "code <b>")):
        await expect(section.locator(tag, has_text=words).first).to_be_visible()
    await expect(section).to_contain_text("2*3*4 snake_case_name @here <tag>")
    await expect(section.get_by_role("link", name="a link")).to_have_attribute(
        "href", "https://example.com/"
    )
    await expect(section.locator("blockquote")).to_have_text("quoted words")
    await expect(section.locator("pre")).to_have_text("pre\n  kept")
    await expect(section.locator(".mention-me").first).to_have_text("@Ada Lovelace")
    await expect(message.locator(".field").nth(2)).to_have_text("Plain *field*")
    rich = message.locator(".block-rich_text")
    await expect(rich).to_contain_text("Rich text for @Grace Hopper in #general see this")
    await expect(rich.locator("ol li")).to_have_text(["first", "second"])
    await expect(message.get_by_role("link", name="a cat on a desk")).to_be_visible()
    assert await page.locator("img[src^='https://example.com']").count() == 0


async def test_markdown(world: World) -> None:
    page, message = await post(world, gallery.TEXT_BLOCKS)
    markdown = message.locator(".block-markdown")
    await expect(markdown.get_by_role("heading", name="Plan for the week")).to_be_visible()
    await expect(markdown.locator("ol > li > ul > li")).to_have_text(["with tests", "and a note"])
    await expect(markdown.locator("li.task input").first).to_be_checked()
    await expect(markdown.locator("table tbody tr").nth(1)).to_have_text("new | trial1180.78")
    await expect(markdown.locator("th").nth(1)).to_have_css("text-align", "right")
    await expect(markdown.locator("pre")).to_contain_text("return x < 3 and x * 2")
    await expect(markdown).to_contain_text("<script>alert(1)</script> bad https://")
    await expect(markdown.get_by_role("link", name="bad")).to_have_count(0)
    assert await page.locator("a[href^='javascript']").count() == 0
    assert await markdown.locator("script").count() == 0


async def test_buttons_menus_and_confirmation(world: World) -> None:
    page, message = await post(world, gallery.ACTION_BLOCKS)
    await message.get_by_role("button", name="Reject").click()
    confirm = page.get_by_test_id("confirm")
    await expect(confirm).to_contain_text("This cannot be undone.")
    await confirm.get_by_role("button", name="Keep it").click()
    assert world.app.clicks == []
    await message.get_by_role("button", name="Reject").click()
    await confirm.get_by_role("button", name="Yes, reject").click()
    await message.get_by_role("combobox", name="Pick a mode").click()
    await page.get_by_role("option", name="Careful").click()
    await message.get_by_role("combobox", name="Pick a person").click()
    await page.get_by_role("combobox", name="Search Pick a person").fill("alan")
    await page.keyboard.press("Enter")
    await message.get_by_role("button", name="More options").click()
    await page.get_by_role("menuitem", name="Hide").click()
    await message.get_by_role("checkbox", name="Cheap").check()
    await message.get_by_role("button", name="Approve").click()
    await expect(message).to_contain_text("Approved by hand")
    await expect(message.get_by_role("button", name="Approve")).to_have_count(0)
    seen = {click["action_id"]: click for click in world.app.clicks}
    assert seen["reject"]["value"] == "p1"
    assert seen["mode"]["selected_option"]["value"] == "careful"
    assert seen["who"]["selected_user"] == "U0ALAN"
    assert seen["more"]["selected_option"]["value"] == "hide"
    assert [o["value"] for o in seen["boxes"]["selected_options"]] == ["cheap"]


async def test_dates_choices_and_multiple_selection(world: World) -> None:
    page, message = await post(world, gallery.ACTION_BLOCKS)
    await message.locator("input[type=date]").fill("2026-12-24")
    await message.get_by_role("radio", name="Careful").check()
    many = message.get_by_role("combobox", name="Pick several")
    await many.click()
    await page.get_by_role("option", name="Fast").click()
    await page.get_by_role("option", name="Cheap").click()
    await page.keyboard.press("Escape")
    await expect(many).to_contain_text("FastCheap")
    await message.get_by_role("button", name="Approve").click()
    await expect(message).to_contain_text("Approved by hand")
    seen = {click["action_id"]: click for click in world.app.clicks}
    assert seen["day"]["selected_date"] == "2026-12-24"
    assert seen["radio"]["selected_option"]["value"] == "careful"
    assert [o["value"] for o in seen["many"]["selected_options"]] == ["fast", "cheap"]


async def test_task_cards_plans_and_layout(world: World) -> None:
    _, message = await post(world, gallery.AGENT_BLOCKS)
    first = message.locator(".block-task_card")
    await expect(first).to_contain_text("220 rows so far")
    await expect(first.get_by_role("img", name="in progress")).to_be_visible()
    await expect(first.get_by_role("link", name="sheet.csv")).to_be_visible()
    plan = message.locator(".block-plan")
    await expect(plan).to_contain_text("1 of 4")
    await expect(plan.get_by_role("img", name="failed")).to_be_visible()
    await plan.get_by_text("Load numbers").click()
    await expect(plan.get_by_text("two tables")).to_be_visible()
    await expect(message.locator(".alert-warning")).to_contain_text("80%")
    await expect(message.locator(".block-card").get_by_text("Proposal 12")).to_be_visible()
    await expect(message.locator(".carousel .card")).to_have_count(4)
    hidden = message.get_by_text("Hidden until opened")
    await expect(hidden).to_be_hidden()
    await message.get_by_role("button", name="Evidence").click()
    await expect(hidden).to_be_visible()


async def test_charts_have_a_picture_and_the_numbers(world: World) -> None:
    page, message = await post(world, [gallery.PIE, gallery.chart("bar", "Runs a day")])
    pie = page.get_by_role("img", name="pie chart: Runs by agent")
    await expect(pie.locator("path")).to_have_count(3)
    bars = page.get_by_role("img", name="bar chart: Runs a day")
    await expect(bars.locator("rect")).to_have_count(10)
    await expect(message.locator(".legend").first).to_contain_text("analyst 45 (45%)")
    await message.get_by_text("Show the numbers").nth(1).click()
    row = message.get_by_role("row", name="analyst").last
    await expect(row).to_have_text("analyst1219.53522")


async def test_lines_and_areas(world: World) -> None:
    page, _ = await post(world, [gallery.chart("line", "L"), gallery.chart("area", "A")])
    await expect(page.get_by_role("img", name="line chart: L").locator(".line")).to_have_count(2)
    await expect(page.get_by_role("img", name="area chart: A").locator(".area")).to_have_count(2)


async def test_a_data_table_is_paged_and_sorted(world: World) -> None:
    _, message = await post(world, [gallery.DATA_TABLE])
    rows = message.locator("tbody tr")
    await expect(rows).to_have_text(["agent 14", "agent 28", "agent 31"])
    await message.get_by_role("button", name="Next page").click()
    await expect(rows).to_have_text(["agent 45", "agent 59", "agent 62"])
    await message.get_by_role("button", name="Runs").click()
    await expect(rows).to_have_text(["agent 31", "agent 62", "agent 14"])
    await message.get_by_role("button", name="Runs").click()
    await expect(rows.first).to_have_text("agent 59")
    header = message.get_by_role("columnheader", name="Runs")
    await expect(header).to_have_attribute("aria-sort", "descending")


async def test_a_dash_among_numbers_stands_where_the_numbers_stand(world: World) -> None:
    rows: list[list[object]] = [["Agent", "Success"], ["new", "–"], ["old", 0.75]]
    table = {"type": "data_table", "caption": "Success", "rows": [
        [gallery.cell(value) for value in row] for row in rows
    ]}  # fmt: skip
    _, message = await post(world, [table])
    for cell in (message.locator("td").nth(0), message.locator("td").nth(1)):
        await expect(cell).to_have_css("text-align", "right")


async def test_a_plain_table(world: World) -> None:
    _, message = await post(world, [gallery.TABLE])
    await expect(message.locator("tbody tr")).to_have_text(["old0.5", "newhalf"])
    await expect(message.locator("td").nth(1)).to_have_css("text-align", "right")


async def test_a_block_the_page_does_not_know_is_a_quiet_note(world: World) -> None:
    page, message = await post(world, [gallery.TEXT_BLOCKS[0]])
    note = await page.evaluate(
        """async () => {
          const { renderBlock } = await import("/page/js/blocks/index.js");
          return renderBlock({ store: {} }, { type: "hologram" }, 0).textContent;
        }"""
    )
    assert "hologram" in note
    await expect(message).to_be_visible()
