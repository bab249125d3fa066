"""Whatever comes in, however spoiled: refused or acknowledged, and answered nowhere else."""

import contextlib
import itertools
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings

from slack_interface.payloads import UnreadableError, bolt_request, checked
from slack_interface.slack_bot import Mode
from tests.people import ADA, BOT, GRACE, TEAM, Json, eventually
from tests.slack_interface.goal_samples import ScriptedGoals, asking_goal
from tests.slack_interface.learning_samples import LearningInMemory, proposal
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.samples import PLAN, PROPOSAL, SAMPLES, Path, as_sent, paths, spoiled
from tests.slack_interface.sender import Sender
from tests.slack_interface.test_socket_mode import Gateway, envelope
from tests.slack_interface.world import World

_revisions = itertools.count(1_000)
DIRECT_OF = {ADA: "D0ADA", GRACE: "D0GRACE", "U0ALAN": "D0ALAN"}

quickly = settings(
    max_examples=200,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def transport() -> Mode:
    return "http"


@pytest.fixture(autouse=True)
def complaints(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What was logged as an error; a test fails where there is any at its end."""
    found: list[str] = []

    def note(logger: Any, method: str, event: Any) -> Any:
        if event.get("log_level") in ("error", "critical"):
            found.append(repr(event))
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.stdlib.add_log_level, note])
    yield found
    structlog.configure(processors=before)
    found += [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.ERROR]
    assert found == []


@pytest.fixture
async def quiet_world(quiet_world: World) -> World:
    """With learning and plans behind its desk: a proposal waits, and a step of a plan asks."""
    waiting = {PROPOSAL: proposal()}
    quiet_world.improvement = LearningInMemory(waiting)
    quiet_world.goals = ScriptedGoals(goals={PLAN: asking_goal(PLAN, "C0GENERAL")})
    quiet_world.pace.update_s = 0.0
    return quiet_world


def named(payload: Json) -> set[str]:
    """Every person and place that a payload is about, with the person's direct message."""
    found = set()
    for path in paths(payload):
        value = reached(payload, path)
        if path[-1] == "private_metadata":
            found |= named(remembered(value))
        elif isinstance(value, str) and PLACES & {path[-1], *path[-2:-1]}:
            found.add(value)
    return found | {DIRECT_OF[person] for person in found & set(DIRECT_OF)}


def reached(payload: Any, path: Path) -> Any:
    for key in path:
        payload = payload[key]
    return payload


def remembered(metadata: object) -> Json:
    """What a modal was told to remember."""
    with contextlib.suppress(ValueError, TypeError):
        if isinstance(found := json.loads(str(metadata)), dict):
            return found
    return {}


UNHEARD = {"block_suggestion", "app_rate_limited"}
"""Nothing of ours asks for suggestions; the other is for the log."""
PLACES = frozenset({"channel", "channel_id", "user", "user_id", "users"})


def addressed(row: Json) -> set[str]:
    """To whom and where a call shows something."""
    return {str(row["args"][key]) for key in PLACES & row["args"].keys()}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_everything_that_slack_documents_can_be_read(name: str) -> None:
    assert bolt_request(checked(SAMPLES[name]), {}).body == SAMPLES[name]


@settings(quickly, max_examples=600)
@given(spoiled())
def test_what_is_spoiled_is_read_or_refused(sample: tuple[str, Json]) -> None:
    with contextlib.suppress(UnreadableError):
        bolt_request(checked(sample[1]), {})


@pytest.mark.parametrize("payload", [None, 1, "x", [], {}, {"type": 5}, {"type": "x"}])
def test_what_is_no_payload_is_refused(payload: object) -> None:
    with pytest.raises(UnreadableError):
        checked(payload)


NO_EVENTS: tuple[Any, ...] = (None, [], "x", 1)
BROKEN: list[Json] = [
    *({"type": "event_callback", "team_id": TEAM, "event": event} for event in NO_EVENTS),
    {"type": "event_callback", "team_id": TEAM},
    {"type": "event_callback", "team_id": TEAM, "event": {"type": ["message"]}},
    {"type": "event_callback", "team_id": TEAM, "event": {"type": "message", "channel": {}}},
    {"type": "event_callback", "team_id": TEAM, "event": {"type": "app_home_opened"}},
    {"type": "event_callback", "team_id": TEAM, "event": {"type": "reaction_removed", "user": 1}},
    {"type": "event_callback", "team_id": TEAM, "authorizations": 5, "event": {"type": "message"}},
    {"type": "event_callback", "event": {"type": "tokens_revoked", "tokens": []}},
    {"type": "event_callback", "event": {"type": "tokens_revoked", "tokens": {"bot": "U0"}}},
    {"type": "event_callback", "event": {"type": "member_joined_channel", "user": BOT}},
    {"team_id": TEAM, "command": "/better"},
    {"team_id": TEAM, "command": "/better", "user_id": ADA, "trigger_id": "1"},
    {"type": "block_actions", "user": {"id": ADA}, "team": {"id": TEAM}, "trigger_id": "1"},
    {"type": "block_actions", "user": {"id": ADA}, "trigger_id": "1", "actions": []},
    {"type": "block_actions", "user": ADA, "trigger_id": "1", "actions": [{"action_id": "a"}]},
    {"type": "view_submission", "view": {"callback_id": "why_modal"}},
    {"type": "view_submission", "user": {"id": ADA}, "view": None},
    {"type": "view_submission", "user": {"id": ADA}, "view": {"id": "V1", "callback_id": "why"}},
    {"type": "message_action", "callback_id": "how_answered", "user": {"id": ADA}},
    {"type": "interactive_message", "callback_id": "x", "actions": []},
    {"type": "workflow_step_edit", "callback_id": "x"},
]


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_what_was_once_an_error_is_refused(number: int) -> None:
    with pytest.raises(UnreadableError):
        checked(BROKEN[number])


async def test_every_sample_is_answered_where_it_came_from(world: World, sender: Sender) -> None:
    for name, sample in SAMPLES.items():
        plans_of(world).goals[PLAN] = asking_goal(PLAN, "C0GENERAL", next(_revisions))
        payload = as_sent(sample)
        assert await sender.send(payload) == (404 if name in UNHEARD else 200), name
        for row in await sender.said_since():
            assert addressed(row) <= named(payload), (name, row)
    assert len(world.orchestrator.requests) > 5
    done = {act[0] for act in plans_of(world).acts}
    assert done >= {"cancel", "answer", "skip", "change"}
    assert [await sender.send(broken) for broken in BROKEN] == [400] * len(BROKEN)
    assert await sender.said_since() == []


@pytest.mark.parametrize("transport", ["socket"])
async def test_a_socket_survives_them_all(quiet_world: World) -> None:
    async with Refusals(quiet_world.workspace.api_url) as slack, Gateway() as gateway:
        slack.by_method["apps.connections.open"] = gateway.once()
        bot = await quiet_world.start(slack.url)
        [socket] = gateway.opened
        for number, broken in enumerate(BROKEN):
            await socket.send_str(envelope(f"broken {number}", broken))
        for name, sample in SAMPLES.items():
            await socket.send_str(envelope(name, as_sent(sample)))

        readable = SAMPLES.keys() - UNHEARD

        async def acknowledged() -> bool:
            return {entry["envelope_id"] for entry in gateway.received} >= readable

        await eventually(acknowledged, "all that can be read is acknowledged")
        assert {entry["envelope_id"] for entry in gateway.received} == readable
        await bot.stop()


def plans_of(world: World) -> ScriptedGoals:
    assert isinstance(world.goals, ScriptedGoals)
    return world.goals


@pytest.mark.timeout(180)
@quickly
@given(spoiled())
async def test_nothing_that_is_spoiled_does_harm(
    world: World, sender: Sender, sample: tuple[str, Json]
) -> None:
    payload = as_sent(sample[1])
    plans_of(world).goals[PLAN] = asking_goal(PLAN, "C0GENERAL", next(_revisions))
    await sender.send(payload)
    for row in await sender.said_since():
        assert addressed(row) <= named(payload), (sample[0], row)
    assert await world.rows.pending() == []
