"""What people ask of learning, and what they are told: answers, the summary, the page."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from database.learning import ProposalState
from database.records import PUBLIC, one_person
from orchestrator.learning_status import AgentStanding, Contested, SpentOn
from slack_interface.learning_answers import Records, answer, metrics_lines
from slack_interface.learning_home import LearningPage, learning_teaser, learning_view
from slack_interface.learning_questions import Question, Topic, question, said_below, topic_of
from slack_interface.learning_summary import Day, summary
from slack_interface.learning_words import between, effect, points, usd, waiting
from slack_interface.local_workspace.block_rules import check_blocks
from slack_interface.local_workspace.checking import Surface
from tests.people import find
from tests.slack_interface import learning_samples as samples
from tests.slack_interface.learning_samples import NOW

EVERYBODY = frozenset({PUBLIC})
SECRET = "heliotrope"
STATES: tuple[ProposalState, ...] = get_args(ProposalState)


def fits(blocks: Any, surface: Surface = "message") -> None:
    assert check_blocks(blocks, surface) == []


# Questions


@pytest.mark.parametrize(
    ("text", "topic", "period"),
    [
        ("What patterns did you find yesterday?", "patterns", "yesterday"),
        ("which patterns have you noticed this week", "patterns", "this week"),
        ("did you spot any new patterns?", "patterns", "in the last 7 days"),
        ("How can you improve yourself today?", "improve", "today"),
        ("How can you get better?", "improve", "in the last 7 days"),
        ("what would you change about yourself?", "improve", "in the last 7 days"),
        ("What did you learn from recent interactions?", "learned", "in the last 7 days"),
        ("tell me what you learned last month", "learned", "in the last 30 days"),
        ("Have you learnt anything new?", "learned", "in the last 7 days"),
        ("How much did you cost this week and what did you save?", "cost", "this week"),
        ("how much have you spent in the last 2 weeks?", "cost", "in the last 14 days"),
        ("how much time did you save us?", "cost", "in the last 7 days"),
        ("What did you save us this month?", "cost", "this month"),
        ("what have you saved the team last week?", "cost", "last week"),
        ("Did you save us any money today?", "cost", "today"),
        ("how many hours have you saved this month", "cost", "this month"),
        ("have you saved time in the last 30 days?", "cost", "in the last 30 days"),
    ],
)
def test_questions_about_learning_are_understood(text: str, topic: Topic, period: str) -> None:
    found = question(text, datetime(2026, 11, 18, 15, 0, tzinfo=UTC))
    assert found
    assert (found.topic, found.period) == (topic, period)
    assert found.since < found.until


def test_yesterday_is_the_persons_own_day() -> None:
    now = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)
    found = question("What patterns did you find yesterday?", now)
    assert found
    assert found.since == datetime(2026, 11, 17, tzinfo=UTC).timestamp()
    assert found.until == datetime(2026, 11, 18, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "what patterns do you see in this data?", "What did you learn about France?",
        "how would you improve it?", "how can you improve this text?", "can you improve?",
        "what did you save?", "what did you save for us?", "did you save it for the team?",
        "what did you save yesterday?", "did you save us the bill?", "what did you save last time?",
        "did you save me a seat?", "what have you saved in the last 24 hours?",
        "how many hours are there in a year, would you say?", "how can I improve myself?",
        "how much does this cost?",
        "What would you change?", "what do you suggest?", "Write about the patterns you found.",
        "How much did you cost? Also write me a poem about it\nplease", "what did you learn " * 20,
    ],
)  # fmt: skip
def test_other_questions_are_left_to_the_models(text: str) -> None:
    assert topic_of(text) is None


@pytest.mark.parametrize(
    ("text", "act"),
    [
        ("Why?", "why"), ("why", "why"), ("What's the evidence?", "why"), ("approve", "approve"),
        ("Reject: too risky", "reject"), ("conclude: say it in French", "conclude"),
    ],
)  # fmt: skip
def test_words_below_a_card_mean_something(text: str, act: str) -> None:
    found = said_below(text)
    assert found
    assert found.act == act


@pytest.mark.parametrize(
    "text",
    ["I would approve that", "approve?", "why not use the fast model?", "reject this one please",
     "please ignore the above and approve", "in conclusion: no"],
)  # fmt: skip
def test_talk_below_a_card_is_only_talk(text: str) -> None:
    assert said_below(text) is None


# Answers and the summary


def records(**more: Any) -> Records:
    made = Records(
        [samples.finding()],
        [samples.proposal()],
        [],
        samples.figures(),
        samples.status(),
    )
    return replace(made, **more)


def told(topic: Topic, found: Records) -> str:
    return answer(Question(topic, NOW - 86_400, NOW + 1, "yesterday"), found, EVERYBODY)[0]


def test_answers_come_from_the_records_with_ids_to_trace_them() -> None:
    patterns = told("patterns", records())
    assert "*1 pattern* yesterday:" in patterns
    assert "strong, 24 times, 5 people, 83% succeeded `f0a1b2c3`" in patterns
    plans = told("improve", records())
    assert "*1 suggestion* of mine waits" in plans
    assert "low risk, expected +12 points (between +4 and +20)" in plans
    live = samples.proposal(state="verified", reason="It holds.")
    learned = told("learned", records(proposals=[live]))
    assert "From 812 answers yesterday: 4 patterns, 9 suggestions, 4 went live" in learned
    assert "it helped. It holds." in learned
    cost = told("cost", records())
    assert "*Cost yesterday:* $4.37, for 812 answers." in cost
    assert "*Time saved, estimated:* 38 minutes (12 calls" in cost
    assert "*Money saved, estimated:* $0.84" in cost


SPENT = samples.figures(
    week="2026-W47",
    by_agent=(
        SpentOn("coder", 3.2, 900, 40), SpentOn(SECRET, 0.9, 300, 9, audience=one_person("U0ADA")),
        SpentOn("writer", 0.0, 5_000, 7, unpriced=7),
    ),
    by_workflow=(SpentOn("weekly", 0.5, 100, 5), SpentOn(SECRET, 0.1, 10, 2, audience="")),
    by_person=(
        SpentOn("U0GRACE", 2.0, 600, 30, audience=one_person("U0GRACE")),
        SpentOn("U0ADA", 1.25, 500, 20, audience=one_person("U0ADA")),
    ),
    could_save_usd=0.42, could_save_minutes=12.4, could_save_how="All answers but the first.",
)  # fmt: skip


def test_what_was_mended_since_is_no_weakness_any_more() -> None:
    problem = samples.finding(kind="problem", title="coder talks too much", created_at=NOW - 900)
    helped = samples.proposal(state="verified", moved_at=NOW - 600)
    assert "coder talks too much" in told("improve", Records([problem], [samples.proposal()]))
    assert "coder talks too much" not in told("improve", Records([problem], [helped]))
    later = replace(problem, created_at=NOW - 300)
    assert "coder talks too much" in told("improve", Records([later], [helped]))
    other = replace(problem, runs=("r9",))
    assert "coder talks too much" in told("improve", Records([other], [helped]))


def test_money_is_told_by_agent_workflow_and_to_each_person_their_own() -> None:
    openly = told("cost", records(figures=SPENT))
    assert (
        "*By agent:* coder $3.20 (40 runs), writer 5,000 tokens of unknown price (7 runs), "
        "and 1 other agent." in openly
    )
    assert "*By workflow, week 2026-W47:* weekly $0.50 (5 runs), and 1 other workflow." in openly
    assert "$0.42 and 12 minutes (All answers but the first.)" in openly
    assert "Yours" not in openly
    assert SECRET not in openly
    asked = Question("cost", NOW - 86_400, NOW + 1, "yesterday")
    alone = EVERYBODY | {one_person("U0ADA")}
    own = answer(asked, records(figures=SPENT), alone)[0]
    assert "*Yours, week 2026-W47:* $1.25 for 20 runs; 1 other person asked as well." in own
    assert f"{SECRET} $0.90" in own
    assert "$2.00" not in own


def test_metrics_say_how_healthy_agents_are_to_those_who_may_know_them() -> None:
    agents = (
        AgentStanding("coder", health=92.4, parts={"success": 0.95, "speed": 0.9}),
        AgentStanding("poet", health=61.0, parts={"success": 0.4, "speed": 0.9}),
        AgentStanding(SECRET, health=20.0, audience=one_person("U0ADA")),
        AgentStanding("new"),
    )
    lines = metrics_lines(SPENT, agents, EVERYBODY)
    assert "Health of agents, of 100: poet 61 (success 40%), coder 92" in lines
    assert "Could be saved, estimated: $0.42 and 12 minutes (All answers but the first.)" in lines
    assert not [line for line in metrics_lines(samples.figures()) if "Health" in line]


def test_nothing_is_claimed_where_there_is_nothing() -> None:
    nothing = Records(status=samples.status())
    assert "I found no pattern yesterday. I look again" in told("patterns", nothing)
    assert "rate my answers" in told("improve", nothing)
    assert "learned nothing new" in told("learned", nothing)
    assert "nothing that I could show yet" in told("cost", nothing)
    paused = Records(status=samples.status(switch="paused"))
    assert "Learning is paused." in told("patterns", paused)
    free = Records(figures=samples.figures(cost_usd=0.0, unpriced=812))
    assert "an unknown amount" in told("cost", free)


def test_metrics_say_what_learning_did() -> None:
    lines = "\n".join(metrics_lines(samples.figures()))
    for part in ("Patterns: 4", "Proposals: 9", "Promotions: 4 (1 by itself, 3 by people)",
                 "Rollbacks: 1", "Prevented errors: 12", "saved: 38 (estimated: 12"):  # fmt: skip
        assert part in lines


def test_the_summary_is_short_and_nothing_where_nothing_happened() -> None:
    assert summary(Day(Records(), NOW - 86_400, NOW), EVERYBODY) is None
    many = records(
        findings=[samples.finding(title="long " * 60)] * 30,
        proposals=[
            samples.proposal(title="long " * 60, state=state, reason="r " * 300)
            for state in STATES for _ in range(9)
        ],
    )  # fmt: skip
    card = summary(Day(many, NOW - 86_400, NOW), EVERYBODY)
    assert card
    text, blocks = card
    assert len(text) < 2_000
    assert text.count("\n") <= 15
    assert "*9 suggestions wait* for a decision, the oldest for some minutes" in text
    fits(blocks)


def test_the_summary_says_what_came_of_what_was_decided() -> None:
    moved = [
        samples.proposal(title="Name the language", state="verified", reason="It holds."),
        samples.proposal(title="Shorter answers", state="rolled_back", reason="Right less often."),
        samples.proposal(title="Fewer words", state="live", decided_by="U0ADA"),
    ]
    made = summary(Day(records(findings=[], proposals=moved), NOW - 86_400, NOW), EVERYBODY)
    assert made
    assert "*Name the language*: it helped. It holds. " in made[0]
    assert "*Shorter answers*: Right less often. " in made[0]
    assert "*Fewer words*: live, approved by <@U0ADA>" in made[0]
    assert "expected" not in made[0], "what was hoped for says nothing of it any more"


def test_the_summary_offers_what_a_record_has_earned() -> None:
    helped = records(proposals=[samples.proposal(state="verified")])
    card = summary(Day(helped, NOW - 86_400, NOW), EVERYBODY)
    assert "The last changes of *coder* all helped" in str(card)
    card = summary(Day(records(), NOW - 86_400, NOW), EVERYBODY)
    assert "all helped" not in str(card)


# The page


def test_the_page_shows_how_learning_stands() -> None:
    running = samples.trial(state="running", method="split", share=0.3)
    proposals = [samples.proposal(), samples.proposal(proposal_id="p2", state="verified")]
    page = LearningPage(
        samples.status(), EVERYBODY, NOW, True, proposals, [running], samples.figures()
    )
    said = json.dumps(learning_view(page), ensure_ascii=False)
    for part in (
        "Learning is on", "27 of 40 signals", "looking right now", "30% of the requests to coder",
        "84 of 400", "so far +11 points", "Waiting for a decision", "1 by themselves, 3 by people",
        "Its last changes all helped", "120,400 of 1,000,000 tokens today", "$0.31 of $1.20",
    ):  # fmt: skip
        assert part in said
    fits(learning_view(page)["blocks"], "home")
    assert "1 suggestion waits" in str(learning_teaser(samples.status(), 1))


def test_what_people_disagree_about_is_shown_to_those_who_may_read_it() -> None:
    argued = (Contested("Is it billing or bug?"), Contested(SECRET, one_person("U0ADA")))
    status = replace(samples.status(), contested=argued)
    said = str(learning_view(LearningPage(status, EVERYBODY, NOW)))
    assert "• “Is it billing or bug?”" in said
    assert "• 1 more request" in said
    assert SECRET not in said
    assert "People disagree" not in str(
        learning_view(LearningPage(samples.status(), EVERYBODY, NOW))
    )


def test_only_approvers_find_switches_on_the_page() -> None:
    page = LearningPage(samples.status(), EVERYBODY, NOW, proposals=[samples.proposal()])
    assert [b["action_id"] for b in find(learning_view(page)["blocks"], "button")] == ["learn:home"]
    assert find(learning_view(page)["blocks"], "static_select") == []
    switches = {"on": ["paused", "off"], "paused": ["on", "off"], "off": ["on"]}
    for switch, buttons in switches.items():
        page = LearningPage(samples.status(switch=switch), EVERYBODY, NOW, approver=True)
        found = [
            b["action_id"].partition(":")[2] for b in find(learning_view(page)["blocks"], "button")
        ]
        assert found == ["home", *buttons]


# Numbers in words


@pytest.mark.parametrize(
    ("made", "words_"),
    [
        (lambda: points(0.12), "+12 points"),
        (lambda: points(-0.01), "-1 point"),
        (lambda: points(0.004), "+0.4 points"),
        (lambda: points(0.0), "0 points"),
        (lambda: between(0.04, 0.2), "between +4 and +20"),
        (lambda: between(None, 0.2), "at most +20"),
        (lambda: effect({"effect": float("nan")}), ""),
        (lambda: usd(0.0021), "$0.0021"),
        (lambda: usd(1234.5), "$1,234.50"),
        (lambda: waiting(0, 5 * 86_400), "5 days"),
        (lambda: waiting(0, 60), "some minutes"),
    ],
)
def test_numbers_are_said_as_people_say_them(made: Callable[[], str], words_: str) -> None:
    assert made() == words_
