"""Every limit of Block Kit that the workspace enforces, at the limit and one past it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.block_rules import check_blocks
from slack_interface.local_workspace.rules import name_blocks

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(**more: Any) -> Json:
    return {"type": "button", "text": plain("Go"), "action_id": "go"} | more


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def pie(segments: int = 1) -> Json:
    slices = [{"label": f"s{n}", "value": 1} for n in range(segments)]
    return {
        "type": "data_visualization",
        "title": "Share",
        "chart": {"type": "pie", "segments": slices},
    }


def bars(points: list[Json] | None = None, **more: Any) -> Json:
    data = [{"label": "Mon", "value": 1}] if points is None else points
    chart = {
        "type": "bar",
        "series": [{"name": "runs", "data": data}],
        "axis_config": {"categories": ["Mon"]},
    }
    return {"type": "data_visualization", "title": "Runs", "chart": chart | more}


def table(kind: str = "table", rows: int = 2, columns: int = 2, **more: Any) -> Json:
    row = [{"type": "raw_text", "text": "x"}] * columns
    return {"type": kind, "rows": [row] * rows} | more


def select(options: int) -> Json:
    some = [{"text": plain(f"o{n}"), "value": str(n)} for n in range(options)]
    return {"type": "static_select", "action_id": "pick", "options": some}


FEEDBACK = {
    "type": "feedback_buttons",
    "positive_button": {"text": plain("Good"), "value": "good"},
    "negative_button": {"text": plain("Bad"), "value": "bad"},
}

AT_THE_LIMIT: list[list[Json]] = [
    [section("x" * 3000)],
    [section("x")] * 50,
    [{"type": "header", "text": plain("x" * 150)}],
    [{"type": "markdown", "text": "x" * 12_000}],
    [actions(*(button(action_id=str(n)) for n in range(25)))],
    [actions(button(value="v" * 2000, action_id="a" * 255))],
    [{**section("x"), "block_id": "b" * 255}],
    [{"type": "context_actions", "elements": [FEEDBACK] * 5}],
    [pie(), pie()],
    [pie(6)],
    [bars()],
    [table(rows=100, columns=20)],
    [table("data_table", rows=101, caption="c", page_size=100)],
    [actions(select(100))],
    [{"type": "section", "fields": [plain("f")] * 10}],
    [{"type": "context", "elements": [plain("c")] * 10}],
    [{"type": "task_card", "task_id": "1", "title": "t", "status": "complete"}],
    [{"type": "divider"}, {"type": "image", "image_url": "https://x/y.png", "alt_text": "y"}],
]

PAST_THE_LIMIT: list[tuple[list[Json], str]] = [
    ([section("x" * 3001)], "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
    ([section("")], "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
    ([{"type": "section"}], "must define either `text` or `fields` [json-pointer:/blocks/0]"),
    ([section("x")] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
    (
        [{"type": "header", "text": plain("x" * 151)}],
        "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
    ),
    (
        [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
        "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]",
    ),
    (
        [{"type": "markdown", "text": "x" * 12_001}],
        "must be less than 12001 characters [json-pointer:/blocks/0/text]",
    ),
    (
        [actions(*(button(action_id=str(n)) for n in range(26)))],
        "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
    ),
    (
        [actions(button(value="v" * 2001))],
        "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
    ),
    (
        [actions(button(text=plain("x" * 76)))],
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
    ),
    (
        [actions(button(action_id="a" * 256))],
        "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]",
    ),
    (
        [actions(button(), button())],
        "`action_id` `go` already exists in this block [json-pointer:/blocks/0/elements/1]",
    ),
    (
        [{**section("x"), "block_id": "b" * 256}],
        "must be less than 256 characters [json-pointer:/blocks/0/block_id]",
    ),
    (
        [{**section("x"), "block_id": "b"}] * 2,
        "block_id `b` already exists [json-pointer:/blocks/1/block_id]",
    ),
    (
        [{"type": "context_actions", "elements": [FEEDBACK] * 6}],
        "no more than 5 items allowed [json-pointer:/blocks/0/elements]",
    ),
    (
        [{"type": "context_actions", "elements": [button()]}],
        "unsupported type: button [json-pointer:/blocks/0/elements/0/type]",
    ),
    ([pie()] * 3, "no more than 2 data_visualization blocks allowed [json-pointer:/blocks]"),
    ([pie(7)], "no more than 6 items allowed [json-pointer:/blocks/0/chart/segments]"),
    (
        [bars([{"label": "Tue", "value": 1}])],
        "labels must match axis_config categories [json-pointer:/blocks/0/chart/series/0/data]",
    ),
    (
        [bars([{"label": "Mon", "value": float("nan")}])],
        "must be a finite number [json-pointer:/blocks/0/chart/series/0/data/0/value]",
    ),
    (
        [bars(axis_config=None)],
        "missing required field: axis_config [json-pointer:/blocks/0/chart]",
    ),
    ([table(), table()], "only_one_table_allowed [json-pointer:/blocks]"),
    ([table(rows=101)], "no more than 100 items allowed [json-pointer:/blocks/0/rows]"),
    ([table(columns=21)], "no more than 20 items allowed [json-pointer:/blocks/0/rows/0/row]"),
    ([table("data_table")], "missing required field: caption [json-pointer:/blocks/0]"),
    (
        [table("data_table", rows=1, caption="c")],
        "no fewer than 2 items allowed [json-pointer:/blocks/0/rows]",
    ),
    (
        [actions(select(101))],
        "no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    (
        [{"type": "section", "fields": [plain("f")] * 11}],
        "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
    ),
    (
        [{"type": "task_card", "task_id": "1", "title": "t", "status": "lost"}],
        "must be a valid enum value [json-pointer:/blocks/0/status]",
    ),
    ([{"type": "hologram"}], "unsupported type: hologram [json-pointer:/blocks/0/type]"),
]


@pytest.mark.parametrize("blocks", AT_THE_LIMIT, ids=lambda blocks: blocks[0]["type"])
def test_what_is_at_the_limit_passes(blocks: list[Json]) -> None:
    assert check_blocks(blocks, "message") == []


@pytest.mark.parametrize(("blocks", "fault"), PAST_THE_LIMIT, ids=lambda value: str(value)[:40])
def test_what_is_past_the_limit_is_pointed_at(blocks: list[Json], fault: str) -> None:
    assert f"[ERROR] {fault}" in check_blocks(blocks, "message")


@pytest.mark.parametrize("junk", [None, "x", [None], [1], [{}], [{"type": 1}], [{"type": []}]])
def test_junk_is_refused_and_not_an_accident(junk: Any) -> None:
    assert check_blocks(junk, "message")


KINDS = st.sampled_from(
    [
        "section",
        "header",
        "markdown",
        "actions",
        "context",
        "context_actions",
        "input",
        "image",
        "table",
        "data_table",
        "plan",
        "data_visualization",
        "task_card",
        "card",
        "carousel",
        "container",
        "rich_text",
        "alert",
        "button",
        "feedback_buttons",
        "static_select",
        "overflow",
        "checkboxes",
        "plain_text",
        "pie",
        "bar",
        "raw_text",
    ]
)
KEYS = st.sampled_from(
    [
        "type",
        "text",
        "elements",
        "element",
        "fields",
        "accessory",
        "rows",
        "chart",
        "segments",
        "series",
        "axis_config",
        "label",
        "data",
        "name",
        "value",
        "options",
        "option_groups",
        "child_blocks",
        "tasks",
        "status",
        "title",
        "action_id",
        "block_id",
        "positive_button",
        "confirm",
        "placeholder",
        "caption",
        "image_url",
        "categories",
    ]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | KINDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=300)
@given(st.lists(JUNK, max_size=4), st.sampled_from(["message", "modal", "home"]))
def test_any_json_is_judged_without_an_accident(blocks: list[Any], surface: Any) -> None:
    faults = check_blocks(blocks, surface)
    assert all(
        fault.startswith("[ERROR] ") and "[json-pointer:/blocks" in fault for fault in faults
    )
    if not faults and surface == "message":
        assert len(name_blocks(blocks)) == len(blocks)


def test_some_blocks_stand_in_messages_only() -> None:
    for block in (table(), pie(), {"type": "markdown", "text": "x"}):
        assert check_blocks([block], "message") == []
        assert "unsupported type" in check_blocks([block], "modal")[0]
    assert check_blocks([section("x")] * 100, "modal") == []
    assert check_blocks([section("x")] * 101, "modal")


async def test_the_api_answers_as_slack_does(
    client: AsyncWebClient, workspace: LocalWorkspace
) -> None:
    with pytest.raises(SlackApiError) as problem:
        await client.chat_postMessage(channel="C0GENERAL", text="x", blocks=[section("x" * 3001)])
    answer = problem.value.response.data
    assert isinstance(answer, dict)
    assert answer["error"] == "invalid_blocks"
    fault = "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    assert answer["errors"] == [fault]
    assert answer["response_metadata"]["messages"] == [f"[ERROR] {fault}"]
    halves = [{"type": "markdown", "text": "x" * 7_000}] * 2
    with pytest.raises(SlackApiError) as problem:
        await client.chat_postMessage(channel="C0GENERAL", text="x", blocks=halves)
    assert problem.value.response["error"] == "msg_blocks_too_long"
    assert workspace.runtime.workspace.channels["C0GENERAL"].messages == {}


async def test_blocks_validate(client: AsyncWebClient) -> None:
    assert (await client.blocks_validate(blocks=[section("fine")]))["ok"]
    with pytest.raises(SlackApiError) as problem:
        await client.blocks_validate(blocks=[section("x" * 3001)])
    assert problem.value.response["error"] == "invalid_blocks"
    [error] = problem.value.response["errors"]
    assert (error["pointer"], error["code"]) == ("/0/text/text", "failed_constraint")
    with pytest.raises(SlackApiError) as problem:
        await client.blocks_validate(view={"type": "modal", "blocks": []})
    assert problem.value.response["error"] == "invalid_view"
    with pytest.raises(SlackApiError) as problem:
        await client.blocks_validate()
    assert problem.value.response["error"] == "invalid_arguments"


async def test_missing_ids_are_added(client: AsyncWebClient) -> None:
    unnamed = actions({"type": "button", "text": plain("Go")})
    posted = await client.chat_postMessage(channel="C0GENERAL", text="x", blocks=[unnamed])
    [block] = posted["message"]["blocks"]
    assert block["block_id"]
    assert block["elements"][0]["action_id"]
