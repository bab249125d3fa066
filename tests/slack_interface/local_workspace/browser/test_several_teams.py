"""Several workspaces in one page: switching, installing by OAuth's page, removing the app."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import httpx
from playwright.async_api import Page, expect

from slack_interface.local_workspace import Enterprise, LocalWorkspace, Team
from tests.slack_interface.local_workspace.browser.conftest import World

ORG = Enterprise("E0ORG", "The Org", installed=True)


@asynccontextmanager
async def opened(
    world: World, *teams: Team, width: int = 1280
) -> AsyncIterator[tuple[LocalWorkspace, Page]]:
    """The page of a workspace with these teams."""
    async with LocalWorkspace(pacing=False, teams=teams) as workspace:
        page = await world.page(width)
        await page.goto(f"{workspace.url}/#user=U0GRACE")
        await expect(page.get_by_test_id("person-switcher")).to_be_attached()
        try:
            yield workspace, page
        finally:
            await page.context.close()


async def test_one_team_shows_no_rail(world: World) -> None:
    page = await world.open()
    await expect(page.get_by_test_id("rail")).to_be_hidden()
    await page.context.close()


async def test_the_rail_switches_by_mouse_and_keyboard_and_keeps_the_person(world: World) -> None:
    async with opened(world, Team(), Team("T0SECOND", "Second Team")) as (workspace, page):
        rail = page.get_by_role("navigation", name="Workspaces")
        await expect(rail.get_by_role("link")).to_have_text(["VL", "ST"])
        await expect(rail.locator("[aria-current=page]")).to_have_text("VL")
        await rail.get_by_role("link", name="Second Team").click()
        await expect(page).to_have_url(f"{workspace.teams[1].url}/#user=U0GRACE&channel=D0GRACE")
        await expect(rail.locator("[aria-current=page]")).to_have_text("ST")
        await expect(page.locator(".side-head")).to_contain_text("Second Team")
        await expect(page.get_by_test_id("person-switcher")).to_contain_text("Grace Hopper")
        await rail.get_by_role("link", name="Second Team").focus()
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("Enter")
        await expect(rail.locator("[aria-current=page]")).to_have_text("VL")


async def test_what_is_drawn_anew_keeps_the_focus_and_the_menu(world: World) -> None:
    async with (
        opened(world, Team(), Team("T0SECOND", "Second Team")) as (workspace, page),
        httpx.AsyncClient(trust_env=False) as http,
    ):
        await page.goto(f"{workspace.teams[1].url}/#user=U0GRACE")
        second = page.get_by_test_id("team-T0SECOND")
        url = f"{workspace.teams[1].url}/_control"
        await expect(second).to_have_attribute("aria-current", "page")
        await second.focus()
        await http.post(f"{url}/uninstall", json={})
        await expect(second).to_have_accessible_name("Second Team, without the app")
        await expect(second).to_be_focused()
        await page.get_by_test_id("person-switcher").press("Enter")
        await expect(page.get_by_test_id("person-grace")).to_be_visible()
        await http.post(f"{url}/install", json={})
        await expect(second).to_have_accessible_name("Second Team")
        await page.keyboard.press("Escape")
        await expect(page.get_by_test_id("person-switcher")).to_be_focused()


async def test_what_is_said_in_one_team_stays_there(world: World) -> None:
    async with opened(world, Team(), Team("T0SECOND", "Second Team")) as (workspace, page):
        await page.goto(f"{workspace.teams[1].url}/#user=U0ADA&channel=C0GENERAL")
        await page.get_by_role("textbox").first.fill("only in the second one")
        await page.keyboard.press("Enter")
        message = page.get_by_text("only in the second one")
        await expect(message).to_be_visible()
        [kept] = workspace.teams[1].runtime.workspace.channels["C0GENERAL"].messages.values()
        assert not workspace.runtime.workspace.channels["C0GENERAL"].messages
        link = f"{workspace.teams[1].url}/archives/C0GENERAL/p{kept['ts'].replace('.', '')}"
        await page.goto(link)
        await expect(page.get_by_text("only in the second one").first).to_be_visible()
        await expect(page).to_have_url(
            f"{workspace.teams[1].url}/#user=U0ADA&channel=C0GENERAL&thread={kept['ts']}"
        )


async def test_an_admin_removes_and_installs_the_app(world: World) -> None:
    async with opened(world, Team(), Team("T0SECOND", "Second Team")) as (workspace, page):
        await expect(page.get_by_test_id("team-menu")).to_have_count(0)
        await page.goto(f"{workspace.teams[1].url}/#user=U0ADA&channel=C0GENERAL")
        await page.get_by_test_id("team-menu").click()
        await page.get_by_test_id("remove-app").click()
        await page.get_by_test_id("confirm").get_by_role("button", name="Cancel").click()
        assert workspace.teams[1].bot_token
        await page.get_by_test_id("team-menu").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")
        await expect(page.get_by_test_id("connection")).to_have_text("App not installed")
        assert workspace.teams[1].bot_token == ""
        assert workspace.teams[0].bot_token
        await page.get_by_test_id("team-menu").click()
        await page.get_by_test_id("install-app").click()
        await expect(page.get_by_test_id("connection")).to_have_text("App not connected")
        assert workspace.teams[1].bot_token


async def test_an_org_admin_removes_it_from_the_whole_organisation(world: World) -> None:
    teams = (Team("T0ONE", "One", ORG), Team("T0TWO", "Two", ORG))
    async with opened(world, *teams) as (workspace, page):
        await page.goto(f"{workspace.url}/#user=U0ADA&channel=C0GENERAL")
        await page.get_by_test_id("team-menu").click()
        await page.get_by_test_id("remove-org").click()
        await page.get_by_test_id("confirm").get_by_role("button", name="Remove").click()
        await expect(page.get_by_test_id("connection")).to_have_text("App not installed")
        assert [team.bot_token for team in workspace.teams] == ["", ""]


async def test_the_consent_page_is_answered_by_keyboard(world: World) -> None:
    teams = (Team(), Team("T0SECOND", "Second Team", installed=False))
    async with opened(world, *teams) as (workspace, page):
        back = f"{workspace.url}/healthz"
        query = {"client_id": workspace.client_id, "scope": "chat:write,commands", "state": "s"}
        url = f"{workspace.authorize_url}?{urlencode({**query, 'redirect_uri': back})}"
        await page.goto(url)
        await expect(page.get_by_label("Workspace")).to_be_focused()
        await page.get_by_label("Workspace").select_option("T0SECOND")
        await page.get_by_label("You are").select_option("U0GRACE")
        await page.get_by_role("button", name="Allow").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(lambda url: url.startswith(f"{back}?code="))
        await page.goto(url)
        await page.get_by_role("button", name="Cancel").click()
        await page.wait_for_url(lambda url: url == f"{back}?error=access_denied&state=s")


async def test_a_small_screen_has_the_rail_in_the_drawer(world: World) -> None:
    two = (Team(), Team("T0SECOND", "Second Team"))
    async with opened(world, *two, width=390) as (_, page):
        await expect(page.get_by_test_id("rail")).to_be_hidden()
        await page.get_by_role("button", name="Open the sidebar").click()
        await page.get_by_test_id("team-T0SECOND").click()
        await expect(page).to_have_url(re.compile("/team/T0SECOND/"))
