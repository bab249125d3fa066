"""Cards within Slack's limits, and the same in words."""

import json
from dataclasses import replace

from agents.generalising import WorkflowInput
from database.records import Behind, Metrics, MetricsRow, Run, RunQuery, Step
from slack_interface.answer_cards import how_card
from slack_interface.cards import (
    PROMPTS,
    HomeFacts,
    home_view,
    metrics_card,
    why_modal,
    workflow_card,
    workflow_modal,
)
from slack_interface.local_workspace.block_rules import check_blocks
from tests.people import find
from tests.slack_interface.world import MANIFEST


def row(label: str, runs: int = 10, unpriced: int = 0) -> MetricsRow:
    return MetricsRow(label, runs, 6, 8, 800.0, 2500.0, 1000, 2000, 0.1234, unpriced, 3, 1)


def metrics(agents: int, days: int, unpriced: int = 0) -> Metrics:
    return Metrics(
        RunQuery(),
        row("all", unpriced=unpriced),
        tuple(row(f"agent-with-a-rather-long-name-{n}") for n in range(agents)),
        tuple(row(f"2026-11-{n % 30 + 1:02d}") for n in range(days)),
    )


def test_metrics_say_what_was_paid_for_besides_replies() -> None:
    besides = replace(metrics(2, 3), behind=Behind(2, 900, 100, 0.002, 1))
    text, blocks = metrics_card(besides, "t", counts_only=False)
    said = (
        "Besides, for summaries, steps of workflows and goals: 1,000 tokens, $0.0020 + 1 unpriced"
    )
    assert said in text
    assert said in str(blocks)
    assert said not in metrics_card(besides, "t", counts_only=True)[0]
    assert "Besides" not in metrics_card(metrics(2, 3), "t", counts_only=False)[0]


def test_metrics_say_in_words_what_the_charts_show() -> None:
    text, blocks = metrics_card(metrics(2, 3), "Everyone, last 7 days", counts_only=False)
    for part in ("Success: 75% (8 judged)", "0.8 s median", "$0.1234", "3 good, 1 bad", "agent-"):
        assert part in text
    assert len(find(blocks, "data_visualization")) == 2
    assert len(find(blocks, "data_table")) == 1


def test_figures_in_the_table_are_numbers() -> None:
    _, blocks = metrics_card(metrics(2, 1), "t", counts_only=False)
    [table] = find(blocks, "data_table")
    total = table["rows"][-1]
    assert [cell.get("value") for cell in total] == [
        None, 10, 0.75, 800.0, 2500.0, 3000, 0.1234, 3, 1,
    ]  # fmt: skip
    assert [cell["text"] for cell in total[2:5]] == ["75%", "0.8 s", "2.5 s"]
    nothing = MetricsRow("all", 1, 0, 0, None, None, 0, 0, 0.0, 1, 0, 0)
    text, blocks = metrics_card(Metrics(RunQuery(), nothing, (nothing,), ()), "t", False)
    [table] = find(blocks, "data_table")
    assert [cell["text"] for cell in table["rows"][1]][2:5] == ["–", "–", "–"]
    assert "Feedback: none yet" in text
    assert "Success: not judged yet\n" in text


def test_how_an_answer_came_about_is_said_in_words() -> None:
    route = {"reason": "meaning", "best": {"agent": "tea", "score": 0.7},
             "second": {"agent": "coffee", "score": 0.4}}  # fmt: skip
    run = Run("r", "secret words", "tea", duration_ms=2100.0, reply="secret too", route=route,
              model="m", input_tokens=1200, output_tokens=30, first_token_ms=400.0,
              steps=(Step(0, "tool", "calculator", ok=False, duration_ms=100.0),))  # fmt: skip
    text, blocks = how_card(run)
    for part in ("*tea* answered in 2.1 s", "fits this agent best (coffee came second)",
                 "1,200 tokens read, 30 written", "price unknown", "first words after 0.4 s",
                 "Tool `calculator`: failed, 0.1 s"):  # fmt: skip
        assert part in text
    assert "secret" not in text
    assert check_blocks(blocks, "message") == []
    fallen = replace(run, route=route | {"tried": ["coffee", "tea"]}, model=None)
    assert "coffee could not answer." in how_card(fallen)[0]


def test_unknown_prices_are_unknown_and_never_nothing() -> None:
    assert "Cost: unknown" in metrics_card(metrics(1, 1, 10), "t", counts_only=False)[0]
    partly = metrics_card(metrics(1, 1, 4), "t", counts_only=False)[0]
    assert "Cost: $0.1234 + 4 unpriced" in partly


def test_every_card_is_valid_however_much_there_is() -> None:
    _, blocks = metrics_card(metrics(300, 200), "t" * 400, counts_only=False)
    assert check_blocks(blocks, "message") == []
    _, counts = metrics_card(metrics(300, 200), "t", counts_only=True)
    assert check_blocks(counts, "message") == []
    assert "Success" not in json.dumps(counts)
    runs = [Run(f"r{n}", "<!channel> " * 2000, "agent") for n in range(50)]
    facts = HomeFacts("N" * 500, {}, runs, metrics(5, 5), [f"workflow-{n}" for n in range(90)])
    home = home_view(facts)
    assert check_blocks(home["blocks"], "home") == []
    assert "<!channel" not in json.dumps(home)
    inputs = [WorkflowInput(f"name-{n}", "example " * 500) for n in range(200)]
    assert check_blocks(workflow_card("w" * 60, inputs, saved=True)[1], "message") == []
    assert check_blocks(workflow_modal("w", inputs, "{}")["blocks"], "modal") == []
    assert check_blocks(why_modal("{}")["blocks"], "modal") == []


def test_a_workflow_says_how_to_run_it() -> None:
    inputs = [WorkflowInput("topic", "green tea"), WorkflowInput("day", "")]
    text, _ = workflow_card("report", inputs, saved=False)
    assert 'run report topic="green tea" day=…' in text


def test_the_manifest_offers_what_the_app_listens_to() -> None:
    commands = {entry["command"] for entry in MANIFEST["features"]["slash_commands"]}
    assert commands == {"/better", "/save-workflow", "/metrics"}
    shortcuts = {entry["callback_id"] for entry in MANIFEST["features"]["shortcuts"]}
    assert shortcuts == {"improve_answer", "save_workflow", "how_answered"}
    assert "agent_view" in MANIFEST["features"]
    assert "assistant_view" not in MANIFEST["features"]
    assert len(MANIFEST["features"]["agent_view"]["agent_description"]) <= 300
    prompts = MANIFEST["features"]["agent_view"]["suggested_prompts"]
    assert len(prompts) <= 4
    assert [(prompt["title"], prompt["message"]) for prompt in prompts] == list(PROMPTS)


def test_a_suggested_prompt_is_a_whole_request() -> None:
    for _, message in PROMPTS:
        assert message == message.strip()
        assert message.endswith((".", "?")) or message == "help"
