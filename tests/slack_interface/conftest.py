import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from database.store import Store
from orchestrator.policy import Policy
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.config import Limits
from slack_interface.pace import Pace
from slack_interface.slack_bot import Mode
from tests.clock import Clock
from tests.people import ALAN, TEAM
from tests.slack_interface.goal_samples import ScriptedGoals
from tests.slack_interface.many import House, Slack, house
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.sender import Sender
from tests.slack_interface.world import (
    MANIFEST,
    Rows,
    ScriptedOrchestrator,
    ScriptedWorkflows,
    World,
)


@pytest.fixture
def transport() -> Mode:
    """Socket Mode, unless the test is marked `over_both_transports`."""
    return "socket"


@pytest.fixture
def limits() -> Limits:
    """Slack's."""
    return Limits()


@pytest.fixture
async def quiet_world(tmp_path: Path, transport: Mode, limits: Limits) -> AsyncIterator[World]:
    """A workspace whose bot is not started yet."""
    store = Store.open(tmp_path, TEAM)
    rows = Rows.open(tmp_path, workspace=TEAM)
    async with (
        LocalWorkspace(manifest=MANIFEST, pacing=False, limits=limits) as workspace,
        httpx.AsyncClient(base_url=workspace.url) as http,
    ):
        world = World(
            workspace,
            http,
            store,
            ScriptedOrchestrator(store),
            ScriptedWorkflows(),
            rows,
            Pace(interval_s=0.05, slow_s=5.0, post_gap_s=0.05, post_pause_s=0.05),
            transport,
        )
        yield world
        if world.bot:
            await world.bot.stop()
    await rows.close()
    await store.close()


@pytest.fixture
async def world(quiet_world: World) -> World:
    """A workspace with the bot in it."""
    await quiet_world.start()
    return quiet_world


@pytest.fixture
async def refusals(quiet_world: World) -> AsyncIterator[Refusals]:
    """The bot of `quiet_world`, started on a Slack that refuses what the test says."""
    async with Refusals(quiet_world.workspace.api_url) as slack:
        await quiet_world.start(slack.url)
        yield slack
        assert quiet_world.bot
        await quiet_world.bot.stop()


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    """Begins now, for Slack's signatures."""
    return Clock(time.time())


@pytest.fixture
async def here(tmp_path: Path, slack: Slack, clock: Clock) -> AsyncIterator[House]:
    """A process that is not started yet."""
    async with house(tmp_path, slack, clock) as made:
        yield made


@pytest.fixture
async def started(here: House) -> House:
    """A process that nobody has installed anything from."""
    await here.start()
    return here


@pytest.fixture
async def goals(quiet_world: World) -> ScriptedGoals:
    """What stands behind the port of plans; Alan decides."""
    quiet_world.pace.update_s = 0.02
    quiet_world.goals = made = ScriptedGoals()
    await Policy(quiet_world.store.policy).set("approvers", ALAN, ALAN)
    return made


@pytest.fixture
async def sender(world: World) -> AsyncIterator[Sender]:
    """Slack, as far as it sends by HTTP: for tests whose `transport` that is."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield Sender(world, client)
