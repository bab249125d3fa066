"""What a newcomer does: start the demo, open its address, ask, stop it, start it again."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from agents.weights import installed
from orchestrator.settings import load_settings
from tests.chromium import chromium
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
_HEAD = re.compile(r"Virtuous6|APP|\d{1,2}:\d{2}( [AP]M)?")
ANSWER_MS = 90_000
"""The embedded tiny model on a busy machine."""


@asynccontextmanager
async def demo(home: Path) -> AsyncIterator[str]:
    """`virtuous6 demo` in a process of its own: the address it prints; ends with Ctrl-C."""
    arguments = ("virtuous6.py", "demo", "--model", "tiny", "--port", "0", "--no-browser")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env=os.environ | {"VIRTUOUS6_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(60):
            async for line in process.stdout:
                if address := next((w for w in line.decode().split() if w.startswith("http")), ""):
                    break
            else:
                raise AssertionError("the demo ended before it printed its address")
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(2 * PATIENCE_S):
            await process.stdout.read()
            status = await process.wait()
    assert status == 0


async def open_direct_message(page: Page, address: str) -> None:
    await page.goto(f"{address}/#user=U0ADA")
    await page.get_by_test_id("assistant-dm").click()
    await page.get_by_test_id("messages-tab").click()


def spoken(message: str) -> list[str]:
    """The lines of a message beside its author and time."""
    lines = [line.strip() for line in message.splitlines()]
    return [line for line in lines if line and not _HEAD.fullmatch(line)]


@pytest.mark.timeout(300)
async def test_a_question_typed_into_the_demo_is_answered_and_remembered(home: Path) -> None:
    if "tiny" not in installed(load_settings().models_dir):
        pytest.skip("the tiny model is not there: `virtuous6 model pull tiny`")
    question = "Say hello to the team in one short sentence."
    async with chromium() as browser:
        page = await browser.new_page()
        async with demo(home) as address:
            await open_direct_message(page, address)
            await page.get_by_test_id("composer").fill(question)
            await page.get_by_test_id("composer").press("Enter")
            thread = page.get_by_test_id("thread")
            answer = thread.get_by_test_id("message").nth(1)
            await expect(answer.get_by_role("button", name="Good")).to_be_visible(timeout=ANSWER_MS)
            assert spoken(await answer.inner_text()), "an empty answer"
        async with demo(home) as address:
            again = await browser.new_page()
            await open_direct_message(again, address)
            await expect(again.get_by_text(question)).to_be_visible()
