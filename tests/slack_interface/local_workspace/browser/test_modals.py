"""Modals: refused by the page, refused by the app, accepted; stacked; closed by keyboard."""

from playwright.async_api import Locator, Page, expect

from tests.slack_interface.local_workspace.browser.conftest import World


async def open_why(world: World) -> tuple[Page, Locator]:
    page = await world.open("user=U0ADA&channel=C0GENERAL")
    composer = page.get_by_test_id("composer")
    await composer.fill("/why ")
    await composer.press("Enter")
    modal = page.get_by_test_id("modal")
    await expect(modal.get_by_role("heading", name="What was wrong?")).to_be_visible()
    return page, modal


async def test_errors_are_shown_at_their_field_then_it_goes_through(world: World) -> None:
    _, modal = await open_why(world)
    reason = modal.get_by_label("Reason")
    await expect(reason).to_be_focused()
    await modal.get_by_role("button", name="Send").click()
    error = modal.locator("[data-block-id=reason]").get_by_test_id("input-error")
    await expect(error).to_have_text("Please fill this in.")
    await reason.fill("bad")
    await modal.get_by_label("How often").fill("often")
    await modal.get_by_role("button", name="Send").click()
    number = modal.locator("[data-block-id=times]").get_by_test_id("input-error")
    await expect(number).to_have_text("Whole numbers only.")
    await modal.get_by_label("How often").fill("3")
    await modal.get_by_role("button", name="Send").click()
    await expect(error).to_have_text("Say a little more, please")
    await expect(reason).to_have_attribute("aria-invalid", "true")
    await reason.fill("the dates are wrong")
    await modal.get_by_role("combobox", name="Kind").click()
    await modal.get_by_role("option", name="Wrong facts").click()
    await modal.get_by_role("button", name="Send").click()
    await expect(modal).to_have_count(0)
    values = world.app.submitted[0]
    assert values["reason"]["text"]["value"] == "the dates are wrong"
    assert values["kind"]["pick"]["selected_option"]["value"] == "facts"
    assert values["times"]["number"]["value"] == "3"


async def test_views_stack_and_what_was_typed_below_stays(world: World) -> None:
    page, modal = await open_why(world)
    await modal.get_by_label("Reason").fill("keep me")
    await modal.get_by_role("button", name="More detail").click()
    await expect(modal.get_by_role("heading", name="More detail")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(modal.get_by_label("Reason")).to_have_value("keep me")
    await page.keyboard.press("Escape")
    await expect(modal).to_have_count(0)
    await expect(page.get_by_test_id("composer")).to_be_focused()


async def test_focus_stays_inside_and_a_reload_brings_it_back(world: World) -> None:
    page, modal = await open_why(world)
    for _ in range(9):
        await page.keyboard.press("Tab")
        outside = "!document.activeElement.closest('dialog') && document.hasFocus()"
        if await page.evaluate(f"{outside} && document.activeElement !== document.body"):
            raise AssertionError("focus left the dialog")
    await page.reload()
    await expect(modal.get_by_role("heading", name="What was wrong?")).to_be_visible()


async def test_a_negative_rating_asks_why(world: World) -> None:
    page = await world.open()
    await page.get_by_test_id("composer").fill("hello")
    await page.get_by_test_id("composer").press("Enter")
    bad = page.get_by_role("button", name="Bad answer")
    await bad.click()
    await expect(page.get_by_test_id("modal")).to_contain_text("What was wrong?")
    await expect(bad).to_have_attribute("aria-pressed", "true")
    assert world.app.clicks[0]["value"] == "down"


async def test_searched_options_people_files_and_a_view_that_replaces_itself(world: World) -> None:
    page, modal = await open_why(world)
    await modal.get_by_role("button", name="More detail").click()
    await modal.get_by_role("combobox", name="Which agent").click()
    await page.get_by_role("combobox", name="Search Find an agent").fill("wri")
    await page.get_by_role("option", name="Writer").click()
    await modal.get_by_role("combobox", name="Who else").click()
    await page.get_by_role("option", name="Alan Turing").click()
    await page.get_by_role("option", name="Grace Hopper").click()
    await page.keyboard.press("Escape")
    await modal.get_by_label("Proof").set_input_files(
        {"name": "proof.txt", "mimeType": "text/plain", "buffer": b"seen"}
    )
    await expect(modal.locator(".file-chip")).to_contain_text("proof.txt")
    await modal.get_by_role("button", name="Keep").click()
    await expect(modal).to_contain_text("Kept, thank you.")
    values = world.app.submitted[0]
    assert values["agent"]["find_agent"]["selected_option"]["value"] == "writer"
    assert values["people"]["pick"]["selected_users"] == ["U0ALAN", "U0GRACE"]
    assert values["proof"]["files"]["files"][0]["name"] == "proof.txt"
