"""The page needs nothing but its own server, and builds no markup from text."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import expect

from slack_interface.local_workspace.application import PAGE
from tests.slack_interface.local_workspace.browser import gallery
from tests.slack_interface.local_workspace.browser.conftest import World

MARKUP_SINKS = re.compile(r"\.(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|srcdoc")
OTHER_HOST = re.compile(r"https?://(?!www\.w3\.org/(?:2000/svg|1999/xhtml))[\w.-]+")


def test_no_file_of_the_page_turns_text_into_markup_or_names_another_host() -> None:
    files = [path for path in PAGE.rglob("*") if path.suffix in {".js", ".css", ".html", ".svg"}]
    assert len(files) > 20
    assert [bad for path in files for bad in _problems(path)] == []


def _problems(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    found = [*MARKUP_SINKS.findall(text), *OTHER_HOST.findall(text)]
    return [f"{path.name}: {problem}" for problem in found]


async def test_every_request_stays_with_the_workspace(world: World) -> None:
    for blocks in (gallery.TEXT_BLOCKS, gallery.AGENT_BLOCKS):
        await world.bot.chat_postMessage(channel="C0GENERAL", text="x", blocks=blocks)
    page = await world.page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: complaints.append(said.text))
    await page.goto(f"{world.workspace.url}/#user=U0ADA&channel=C0GENERAL")
    await expect(page.get_by_test_id("message")).to_have_count(2)
    own = urlsplit(world.workspace.url).netloc
    assert {urlsplit(url).netloc for url in asked} == {own}
    assert complaints == []
