"""Cards of learning: within Slack's limits whatever is in them, and telling nobody too much."""

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.errors import InputError
from database.learning import Change, FindingKind, Proposal, ProposalState, Risk
from database.records import PUBLIC, one_person, private_channel
from slack_interface.incoming import Card
from slack_interface.learning_answers import Records, answer
from slack_interface.learning_cards import Suggestion, finding_card, proposal_card, result_text
from slack_interface.learning_diff import diff_lines, diff_text
from slack_interface.learning_edits import edited, values_of_suggestion, with_line
from slack_interface.learning_evidence import Evidence, Source, why_card
from slack_interface.learning_forms import back_form, conclude_form, discussion, reject_form
from slack_interface.learning_home import LearningPage, learning_view
from slack_interface.learning_questions import Question, Topic
from slack_interface.learning_summary import Day, summary
from slack_interface.local_workspace.block_rules import check_blocks
from slack_interface.local_workspace.checking import Surface
from tests.people import find
from tests.slack_interface import learning_samples as samples
from tests.slack_interface.learning_samples import AFTER, BEFORE, NOW

EVERYBODY = frozenset({PUBLIC})
SECRET = "heliotrope"
STATES: tuple[ProposalState, ...] = get_args(ProposalState)
KINDS: tuple[FindingKind, ...] = get_args(FindingKind)
TOPICS: tuple[Topic, ...] = get_args(Topic)

words = st.text(max_size=400) | st.sampled_from(
    ["<!channel> now", "```\nout", "<@U0ADA>", "https://evil.example/?q=" + "x" * 300, "*" * 50,
     "x" * 5000, "&lt;"]
)  # fmt: skip
numbers = st.floats() | st.integers(-(10**12), 10**12) | st.none() | st.booleans()
json_like = st.recursive(
    words | numbers,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
figures = st.dictionaries(
    st.sampled_from(["effect", "low", "high", "pairs", "requests", "rate_active", "rate_candidate",
                     "judge_agreement", "guardrails", "exam", "support", "people", "success",
                     "figures", "chart", "examples", "cost", "runs", "rate_before", "rate_now"]),
    json_like,
)  # fmt: skip


def fits(blocks: Any, surface: Surface = "message") -> None:
    assert check_blocks(blocks, surface) == []


def shown(proposal: Proposal, audiences: frozenset[str] = EVERYBODY, trial: Any = None) -> Card:
    suggestion = Suggestion(proposal, trial or samples.trial(), (BEFORE,), "<@U0ADA>")
    return proposal_card(suggestion, audiences, NOW)


# What a card says


def test_a_suggestion_says_all_that_somebody_needs_to_decide() -> None:
    text, blocks = shown(samples.proposal())
    said = json.dumps(blocks, ensure_ascii=False)
    for part in (
        "I suggest: Let coder answer with the code first",
        "In 24 of 61 answers",
        "+12 points (between +4 and +20) in right answers",
        "+11 points (between +3 and +19), proven, on 84 requests",
        "a judging model agreed with people in 86%",
        "8 points, within 400 requests",
        "Low: changes the instructions (agent coder)",
        "$0.0021 → $0.0017 (-19%)",
        "2.4 s → 1.9 s (-21%)",
        "71% → 83% of 52 questions",
        "-   Answer with a short explanation.",
        "+   Handle empty input.",
        "<@U0ADA> can decide",
    ):
        assert part in said
    buttons = [button["action_id"] for button in find(blocks, "button")]
    assert buttons == ["learn:approve", "learn:reject", "learn:discuss", "learn:why"]
    assert "waits for your decision" in text
    fits(blocks)


@pytest.mark.parametrize(
    ("state", "by", "says", "buttons"),
    [
        ("live", "U0ADA", "*Approved* by <@U0ADA>", ["learn:why", "learn:back"]),
        ("live", None, "I changed something by myself", ["learn:why", "learn:back"]),
        ("verified", None, "It helped: Let coder", ["learn:why", "learn:back"]),
        ("verified", "U0ADA", "Approved by <@U0ADA>.", ["learn:why", "learn:back"]),
        ("rolled_back", None, "I *took it back*", ["learn:why"]),
        ("rolled_back", "U0ADA", "<@U0ADA> *took it back*", ["learn:why"]),
        ("rejected", "U0ADA", "*Rejected* by <@U0ADA>", ["learn:why"]),
        ("rejected", None, "*Rejected* by the trial", ["learn:why"]),
        ("superseded", None, "something newer is in its place", ["learn:why"]),
    ],
)
def test_a_decided_card_says_what_became_of_it(
    state: ProposalState, by: str | None, says: str, buttons: list[str]
) -> None:
    _, blocks = shown(samples.proposal(state=state, decided_by=by, reason="because so"))
    assert says in json.dumps(blocks, ensure_ascii=False)
    assert [button["action_id"] for button in find(blocks, "button")] == buttons
    assert (">because so" in str(blocks)) == (not (state == "live" and by))


def test_a_card_that_nobody_decides_waits_and_says_so() -> None:
    _, blocks = shown(samples.proposal(moved_at=NOW - 4 * 86_400))
    assert "Still waiting" in str(blocks)
    assert "Nothing changes until you decide" in str(blocks)
    assert "learn:approve" in str(blocks)
    assert "Still waiting" not in str(shown(samples.proposal())[1])


def test_what_has_nothing_to_be_compared_with_says_so() -> None:
    new = Change("runbook", "weekly", None, {"steps": ["numbers", "chart"]})
    gone = Change("agent", "poet", "abc", None)
    proposal = samples.proposal(changes=(new, gone), expected=None)
    suggestion = Suggestion(proposal, None, (None, {"name": "poet"}))
    text = str(proposal_card(suggestion, EVERYBODY, NOW)[1])
    for part in ("not tried: it makes 2 changes at once", "cannot be said beforehand",
                 "New: the runbook *weekly*", "Retires the agent *poet*"):  # fmt: skip
        assert part in text
    alone = Suggestion(samples.proposal(changes=(new,), expected=None), None, (None,))
    assert "nothing to compare it with" in str(proposal_card(alone, EVERYBODY, NOW)[1])


def test_a_variant_is_shown_as_what_it_changes_of_its_agent() -> None:
    variant = Change("agent", "coder--kind-1", None, AFTER)
    proposal = samples.proposal(changes=(variant,), task_type="kind-1")
    suggestion = Suggestion(proposal, None, (BEFORE,), example="sort   a\nlist")
    text = str(proposal_card(suggestion, EVERYBODY, NOW)[1])
    assert "What changes in the agent *coder* for one kind of request:" in text
    assert "such as “sort a list”" in text
    assert "kind-1" not in text
    assert "specialty" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_finding_shows_its_strength_its_chart_and_how_to_judge_it(kind: FindingKind) -> None:
    _, blocks = finding_card(samples.finding(kind=kind), EVERYBODY)
    assert "Strong · 24 times · 5 people · succeeded 83% (71% to 91%)" in str(blocks)
    [chart] = find(blocks, "data_visualization")
    assert [p["value"] for p in chart["chart"]["series"][0]["data"]] == [3.0, 5.0, 7.0, 9.0]
    fits(blocks)


def test_a_judged_finding_says_who_says_so() -> None:
    for state, words_ in (("verified", "that this is so"), ("dismissed", "that this is not so")):
        _, blocks = finding_card(samples.finding(state=state, decided_by="U0ADA"), EVERYBODY)
        assert f"<@U0ADA> says {words_}" in str(blocks)
        assert find(blocks, "button") == []


def test_how_it_went_is_said_in_numbers() -> None:
    helped = samples.proposal(state="verified", decided_by="U0ADA", reason="It holds.")
    assert result_text(helped, samples.verification(), told=True) == (
        "🎉 It helped by +12 points (between +3 and +20) in right answers, on 96 requests. "
        "Before, 68% of the answers were right; now 80% are."
    )
    back = samples.proposal(state="rolled_back", reason="Answers became worse: 70% before.")
    assert "I took it back because answers became worse: 70% before. The former" in result_text(
        back, None, told=True
    )
    assert "70%" not in result_text(back, None, told=False)
    by = replace(back, decided_by="U0ADA")
    assert result_text(by, None, told=True).startswith("↩️ <@U0ADA> took it back. Answers")


def test_kinds_of_requests_are_not_called_by_their_number() -> None:
    proposal = samples.proposal(
        title="Let triage answer for requests of kind-7 with examples",
        why="40 requests of kind-7 went badly.",
        task_type="kind-7",
    )
    named = Suggestion(proposal, example="Which ticket is this?")
    text, blocks = proposal_card(named, EVERYBODY, NOW)
    assert "for requests such as “Which ticket is this?” with examples" in text
    assert "40 requests such as “Which ticket is this?” went badly." in str(blocks)
    finding = samples.finding(title="All about kind-7", text="24 requests of kind-7 were answered.")
    cards = [
        proposal_card(Suggestion(proposal), EVERYBODY, NOW),
        finding_card(finding, EVERYBODY),
        learning_view(LearningPage(samples.status(), EVERYBODY, NOW, True, [proposal])),
    ]
    assert "24 requests of one kind were answered" in str(cards)
    assert "kind-7" not in str([text, blocks, *cards])


def test_what_could_not_be_compared_is_said() -> None:
    tried = samples.trial()
    left_out = replace(tried, figures={**tried.figures, "missing": 7, "timed": False})
    said = json.dumps(shown(samples.proposal(), trial=left_out))
    assert "(7 more could not be compared)" in said
    assert "*Time to answer*\\nnot compared: unseen answers wait" in said


def test_what_is_live_shows_how_it_does_so_far() -> None:
    check = replace(samples.verification(), reason="So far: 91% of 34 uses went well.")
    live = Suggestion(samples.proposal(state="live", decided_by="U0ADA"), check=check)
    said = json.dumps(proposal_card(live, EVERYBODY, NOW))
    assert "*In use*\\nSo far: 91% of 34 uses" in said
    waits = replace(live, proposal=samples.proposal())
    assert "In use" not in json.dumps(proposal_card(waits, EVERYBODY, NOW))


def test_how_a_workflow_did_is_said_by_its_uses() -> None:
    figures = {"use": "runbook", "uses": 36, "without": 90, "requests": 126, "rate_now": 0.94}
    check = samples.verification(figures=figures, reason="It holds: 94% of 36 uses went well.")
    helped = samples.proposal(state="verified", reason=check.reason)
    assert result_text(helped, check, told=True) == (
        "🎉 It helped, on 36 requests. It holds: 94% of 36 uses went well."
    )
    page = LearningPage(
        samples.status(), EVERYBODY, NOW, proposals=[replace(helped, state="live")],
        trials=[replace(check, most=100, proposal_id=helped.proposal_id)],
    )  # fmt: skip
    said = str(learning_view(page))
    assert "whenever it is used" in said
    assert "36 of 100 · It holds" in said


def test_a_workflow_that_was_taken_back_is_used_no_more() -> None:
    change = Change("runbook", "weekly-report", None, {"steps": []})
    back = samples.proposal(state="rolled_back", reason="No positive effect.", changes=(change,))
    assert result_text(back, None, told=True) == (
        "↩️ I took it back because no positive effect. It is not used any more."
    )


def test_slack_asks_once_more_before_what_is_of_high_risk() -> None:
    asked = {}
    for risk in ("low", "medium", "high"):
        [approve] = [
            b for b in find(shown(samples.proposal(risk=risk))[1], "button") if "approve" in str(b)
        ]
        asked[risk] = "confirm" in approve
    assert asked == {"low": False, "medium": False, "high": True}


# Who may see it


@pytest.mark.parametrize("audience", [private_channel("C0LEADERSHIP"), one_person("U0GRACE")])
@pytest.mark.parametrize("state", STATES)
def test_what_is_private_shows_counts_only(audience: str, state: ProposalState) -> None:
    body = {**AFTER, "system_prompt": SECRET, "name": SECRET}
    proposal = samples.proposal(
        audience=audience, title=SECRET, why=SECRET, reason=SECRET, task_type=SECRET, state=state,
        changes=(Change("agent", SECRET, "abc", body, audience),),
        risk_reasons=(f"low: changes the instructions (agent {SECRET})",),
        evidence={"figures": {SECRET: SECRET}, "examples": [{"request": SECRET}],
                  "chart": {"title": SECRET, "labels": [SECRET, "b"],
                            "series": [{"name": SECRET, "values": [1, 2]}]}},
    )  # fmt: skip
    finding = samples.finding(audience=audience, title=SECRET, text=SECRET,
                              data={"support": 7, "figures": {SECRET: 1}})  # fmt: skip
    trial = samples.trial(proposal_id=proposal.proposal_id, agent=SECRET, state="running")
    records = Records([finding], [proposal], [trial], samples.figures(), samples.status())
    page = LearningPage(samples.status(), EVERYBODY, NOW, True, [proposal], [trial])
    cards = [
        shown(proposal), finding_card(finding, EVERYBODY),
        why_card(proposal, Evidence(total=3, hidden=3), EVERYBODY),
        why_card(finding, Evidence(), EVERYBODY), result_text(proposal, trial, told=False),
        discussion(proposal, "U0ADA", told=False), learning_view(page),
        summary(Day(records, 0.0, NOW), EVERYBODY),
        *(answer(Question(topic, 0.0, NOW + 1, "today"), records, EVERYBODY) for topic in TOPICS),
    ]  # fmt: skip
    assert SECRET not in json.dumps(cards)
    assert "7 times" in json.dumps(cards)
    assert SECRET in json.dumps(shown(proposal, frozenset({PUBLIC, audience})))


def test_an_agent_that_others_made_in_private_is_not_named() -> None:
    status = samples.status(
        agents=(replace(samples.status().agents[0], agent=SECRET, audience=one_person("U0GRACE")),)
    )
    page = LearningPage(status, EVERYBODY, NOW, approver=True)
    assert SECRET not in json.dumps(learning_view(page))


# Whatever is in it


@settings(max_examples=50)
@given(words, words, figures, st.sampled_from(STATES), st.sampled_from(get_args(Risk)), figures)
def test_any_suggestion_fits_into_slack_and_calls_nobody(
    title: str, why: str, evidence: Any, state: ProposalState, risk: Risk, trial: Any
) -> None:
    body = {"system_prompt": why, "tools": [title], "name": title}
    change = Change("agent", title or "x", "abc", body)
    proposal = samples.proposal(
        title=title, why=why, evidence=evidence, state=state, risk=risk, reason=why,
        risk_reasons=(title,), changes=(change,) * 5, expected=evidence, task_type=title,
        learner="x" + title,
    )  # fmt: skip
    tried = samples.trial(figures=trial, reason=why)
    for told in (frozenset[str](), EVERYBODY):
        text, blocks = shown(proposal, told, tried)
        fits(blocks)
        in_mrkdwn = json.dumps(find(blocks, "mrkdwn")).replace("<!date", "")
        assert "<!" not in in_mrkdwn
        assert "<@" not in text + in_mrkdwn.replace("<@U0ADA> can decide", "")
    evidence_ = Evidence((Source("r", title, why, "right"),) * 40, 40, 2, tried)
    fits(why_card(proposal, evidence_, EVERYBODY)[1])
    page = LearningPage(samples.status(), EVERYBODY, NOW, True, [proposal] * 10, [tried] * 9)
    fits(learning_view(page)["blocks"], "home")
    fits(discussion(proposal, "U0ADA", told=True)[1])


@given(words, words, figures, st.sampled_from(KINDS))
def test_any_finding_fits_into_slack(title: str, text: str, data: Any, kind: FindingKind) -> None:
    finding = samples.finding(title=title, text=text, data=data, kind=kind, learner=title)
    fits(finding_card(finding, EVERYBODY)[1])
    fits(why_card(finding, Evidence(), EVERYBODY)[1])
    records = Records([finding] * 20, [], [], samples.figures(usd_how=text), samples.status())
    for topic in TOPICS:
        fits(answer(Question(topic, 0.0, NOW + 1, "today"), records, EVERYBODY)[1])


@given(words, words)
def test_a_form_of_any_suggestion_fits(title: str, text: str) -> None:
    change = Change("agent", title or "x", "abc", {title or "key": text, "other": [text]})
    proposal = samples.proposal(title=title, changes=(change,))
    values = values_of_suggestion(proposal, (None,))
    for form in (conclude_form(proposal, values, "{}"), reject_form("{}"), back_form("{}")):
        fits(form["blocks"], "modal")


# Differences and edits


def test_only_what_differs_is_shown() -> None:
    assert diff_lines(BEFORE, BEFORE) == []
    assert diff_lines({"temperature": 0.7, "tools": []}, {"temperature": 0.2}) == [
        "- temperature: 0.7", "+ temperature: 0.2"
    ]  # fmt: skip
    assert diff_lines(None, {"tools": ["a"]}) == ["+ tools: - a"]
    assert diff_text({"a": "x"}, {"a": "```<!channel>"}).count("```") == 2


@given(st.dictionaries(words, json_like, max_size=4), st.dictionaries(words, json_like, max_size=4))
def test_every_difference_is_shown_however_long(before: Any, after: Any) -> None:
    text = diff_text(before, after)
    assert len(text) < 3000
    assert "<" not in text
    assert text.count("```") == 2


def test_what_a_person_writes_becomes_the_changes() -> None:
    proposal = samples.proposal()
    [value] = values_of_suggestion(proposal, (BEFORE,))
    assert value.block_id == "value:0:system_prompt"
    assert value.text == AFTER["system_prompt"]
    [change] = edited(proposal, {value.block_id: "Only code."})
    assert change.body == {**AFTER, "system_prompt": "Only code."}
    assert (change.base, change.name) == (proposal.changes[0].base, "coder")
    [change] = edited(proposal, {"value:0:temperature": "0.1", "value:9:x": "y", "other": "z"})
    assert change.body == {**AFTER, "temperature": 0.1}
    with pytest.raises(InputError, match="the same"):
        edited(proposal, {value.block_id: value.text})
    with pytest.raises(InputError, match="cannot be read"):
        edited(proposal, {"value:0:tools": "[a"})


def test_a_conclusion_is_one_more_line_of_the_instructions() -> None:
    proposal = samples.proposal()
    [change] = with_line(proposal, "Say the\nlanguage first.")
    assert change.body is not None
    assert change.body["system_prompt"] == AFTER["system_prompt"] + "\nSay the language first."
    with pytest.raises(InputError, match="Say what you concluded"):
        with_line(proposal, " ")
    two = replace(proposal, changes=proposal.changes * 2)
    with pytest.raises(InputError, match="Write the conclusion"):
        with_line(two, "Say the language.")
