"""Cards of learning: what was found, what is suggested, how it went. Pure: records -> Block Kit.

Each function is told the `audiences` of the place where its card will stand; what not everybody
there may see becomes counts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from database.learning import Finding, Proposal, Trial
from orchestrator.kind_names import plainly
from slack_interface.blocks import (
    actions,
    button,
    context,
    fields,
    header,
    section,
)
from slack_interface.incoming import Card, Json
from slack_interface.learning_diff import diff_text
from slack_interface.learning_evidence import chart_of, effect_chart, figures_block
from slack_interface.learning_words import (
    actor,
    change_of,
    count,
    date,
    document,
    effect,
    id_of,
    known,
    part,
    points,
    requests_of,
    risk,
    said,
    seconds,
    share,
    strength,
    touched,
    tried,
    usd,
    waiting,
)

LEARN = "learn"
"""Action ids are `learn:VERB`, the button's value is the id of what it is about."""

SURE = "This change is of high risk. I take it back by myself where it does harm."
STILL_WAITING_S = 3 * 86_400.0
"""After this a card that nobody decided says so."""

FOUND: Mapping[str, str] = {
    "pattern": "I found a pattern", "problem": "I found a problem",
    "gap": "Something nobody here is made for", "bottleneck": "I found a bottleneck",
    "trend": "I see a trend", "alert": "Please look at this", "lesson": "I learned a lesson",
    "note": "For your information",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A proposal with what its card shows besides: its newest trial, and the bodies it changes.

    `before` has one entry for each of its changes (None: there was none). `example` is a request
    of the kind that it is for, `check` how it does since it is live.
    """

    proposal: Proposal
    trial: Trial | None = None
    before: Sequence[Mapping[str, Any] | None] = ()
    approvers: str = "an approver"
    example: str = ""
    check: Trial | None = None


# Findings


def finding_card(finding: Finding, audiences: Collection[str]) -> Card:
    """What was found, with its strength, a chart and buttons to say whether it is true."""
    title = FOUND.get(finding.kind, FOUND["note"])
    if finding.audience not in audiences:
        return _private_finding(title, finding)
    facts = _facts(finding)
    text = f"{title}: {said(finding.title, 300)}. {said(finding.text)}"
    blocks = [
        header(title),
        section(f"*{said(finding.title, 300)}*\n{said(finding.text)}"),
        *figures_block(part(finding.data, "figures")),
        *chart_of(finding.data),
        context(" · ".join([*facts, f"found by {said(finding.learner, 60)}", id_of(finding)])),
        *_finding_end(finding),
    ]
    return text, blocks


def _private_finding(title: str, finding: Finding) -> Card:
    facts = " · ".join([*_facts(finding), id_of(finding)])
    words = "It rests on conversations that not everybody here may read, so I show counts only."
    return f"{title}. {words}", [header(title), section(words), context(facts)]


def _facts(finding: Finding) -> list[str]:
    """Counts and shares, which say nothing of what was said."""
    data = finding.data
    support, people = known(data.get("support")), known(data.get("people"))
    success = known(data.get("success"))
    low, high = known(data.get("low")), known(data.get("high"))
    bounds = f" ({share(low)} to {share(high)})" if low is not None and high is not None else ""
    found = (
        strength(finding),
        count(int(support), "time") if support is not None else _runs(len(finding.runs)),
        count(int(people), "person", "people") if people is not None else "",
        f"succeeded {share(success)}{bounds}" if success is not None else "",
    )
    return [fact for fact in found if fact]


def _runs(number: int) -> str:
    return f"rests on {count(number, 'answer')}" if number else ""


def _finding_end(finding: Finding) -> list[Json]:
    if finding.state == "open":
        why = button("Why?", f"{LEARN}:why", finding.finding_id)
        if finding.kind not in ("pattern", "problem", "gap", "bottleneck"):
            return [actions(why)]
        right = button("That is so", f"{LEARN}:true", finding.finding_id)
        wrong = button("Not so", f"{LEARN}:untrue", finding.finding_id)
        return [actions(right, wrong, why)]
    by = actor(finding.decided_by) if finding.decided_by else "somebody"
    if finding.state == "verified":
        return [context(f"✅ {by} says that this is so.")]
    return [context(f"🚫 {by} says that this is not so. I leave it.")]


# Proposals


def proposal_card(shown: Suggestion, audiences: Collection[str], now: float) -> Card:
    """A suggestion: what changes, why, on what evidence, at what risk; buttons while it waits."""
    proposal = shown.proposal
    told = proposal.audience in audiences
    name, why = (plainly(text, shown.example) for text in (proposal.title, proposal.why))
    title = name if told else "a change that rests on private conversations"
    heading = header(f"{_heading(proposal)}: {title}")
    text = f"{_heading(proposal)}: {said(title, 300)}. {plain_state(proposal)}"
    blocks = [
        heading,
        *_state(shown, now, told),
        section(said(why) if told else PRIVATE_PROPOSAL),
        fields(_fields(shown, told)),
        *(_diffs(shown) if told else ()),
        *effect_chart(shown.trial),
        *(chart_of(proposal.evidence) if told else ()),
        *_buttons(proposal),
        context(" · ".join(_small_print(shown, now))),
    ]
    return text, blocks[:50]


PRIVATE_PROPOSAL = (
    "It rests on conversations that not everybody here may read, and only those who may will "
    "notice it. So I show counts here; *Why?* shows more to those who may see it."
)


def _heading(proposal: Proposal) -> str:
    match proposal.state:
        case "proposed" | "trial" | "awaiting":
            return "I suggest"
        case "live":
            return "I suggested" if proposal.decided_by else "I changed something by myself"
        case "verified":
            return "It helped"
        case "rolled_back":
            return "Taken back"
        case _:
            return "I suggested"


def plain_state(proposal: Proposal) -> str:
    """What became of it, without names."""
    words = {
        "proposed": "I am going to try it.", "trial": "I am trying it.",
        "awaiting": "It waits for your decision.", "live": "It is live.",
        "verified": "It helped.", "rolled_back": "I took it back.",
        "rejected": "It is rejected.", "superseded": "Something newer is in its place.",
    }  # fmt: skip
    return words[proposal.state]


def _state(shown: Suggestion, now: float, told: bool) -> list[Json]:
    proposal = shown.proposal
    by, when = actor(proposal.decided_by), date(proposal.moved_at or now)
    reason = said(proposal.reason, 500) if told else ""
    why = f"\n>{reason.replace(chr(10), ' ')}" if reason else ""
    people = bool(proposal.decided_by)
    approved = f" Approved by {by}." if people else ""
    match proposal.state:
        case "live" if people:
            line = f"✅ *Approved* by {by}, live since {when}. I watch how it does."
        case "live":
            line = f"✅ *Live* since {when}. I watch how it does.{why}"
        case "verified":
            line = f"🎉 *It helped*: so it shows in use, {when}.{approved}{why}"
        case "rolled_back":
            who = by if people else "I"
            line = f"↩️ {who} *took it back*, {when}.{why}"
        case "rejected":
            who = f"by {by}" if people else "by the trial"
            line = f"🚫 *Rejected* {who}, {when}.{why}"
        case "superseded":
            line = f"⏩ *Superseded*, {when}: something newer is in its place.{why}"
        case "awaiting" if now - proposal.moved_at >= STILL_WAITING_S:
            line = f"⏳ *Still waiting* since {when}. Nothing changes until you decide."
        case _:
            return []
    return [section(line)]


def _fields(shown: Suggestion, told: bool) -> list[str]:
    proposal, trial = shown.proposal, shown.trial
    found = {
        "Changes": touched(proposal) + _for(shown) if told else "",
        "Risk": risk(proposal, told),
        "Expected": _expected(proposal),
        "Why I ask": said(proposal.reason, 500) if told and _waits(proposal) else "",
        "Tried": tried(trial, len(proposal.changes)),
        "In use": _in_use(shown),
        "Smallest effect that it could see": _smallest(trial),
        "Cost of an answer": _cost(proposal, trial),
        "Time to answer": _time(trial),
        "Exam, never shown to a learner": _exam(proposal, trial),
    }
    return [f"*{name}*\n{value}" for name, value in found.items() if value]


def _waits(proposal: Proposal) -> bool:
    return proposal.state == "awaiting"


def _for(shown: Suggestion) -> str:
    if not shown.proposal.task_type:
        return ""
    if shown.example:
        return f", such as “{said(' '.join(shown.example.split()), 90)}”"
    return f", {said(shown.proposal.task_type, 60)}"


def _expected(proposal: Proposal) -> str:
    words = effect(proposal.expected or {})
    return f"{words} in right answers" if words else "it cannot be said beforehand"


def _in_use(shown: Suggestion) -> str:
    """How what is live does so far, in figures that every place may see."""
    if shown.proposal.state != "live" or shown.check is None:
        return ""
    return said(shown.check.reason, 300) or "nothing was seen of it yet"


def _smallest(trial: Trial | None) -> str:
    if trial is None:
        return ""
    return f"{points(trial.smallest_effect).lstrip('+')}, within {count(trial.most, 'request')}"


def _cost(proposal: Proposal, trial: Trial | None) -> str:
    return change_of(part(proposal.evidence, "cost") or _guard(trial, "cost_usd"), usd)


def _time(trial: Trial | None) -> str:
    if trial is not None and trial.figures.get("timed") is False:
        return "not compared: unseen answers wait until the model is free"
    return change_of(_guard(trial, "latency_ms"), seconds)


def _guard(trial: Trial | None, aspect: str) -> Mapping[str, Any]:
    return part(part(trial.figures, "guardrails"), aspect) if trial else {}


def _exam(proposal: Proposal, trial: Trial | None) -> str:
    exam = part(proposal.evidence, "exam") or (part(trial.figures, "exam") if trial else {})
    words = change_of(exam, share)
    asked = known(exam.get("n"))
    return words + (f" of {count(int(asked), 'question')}" if words and asked else "")


def _diffs(shown: Suggestion) -> list[Json]:
    found = []
    for number, change in enumerate(shown.proposal.changes[:4]):
        before = shown.before[number] if number < len(shown.before) else None
        if change.body is None:
            found.append(section(f"Retires {document(change)}; its history stays."))
            continue
        known_before = change.base is not None or before is not None
        lead = (
            f"What changes in {document(change)}:" if known_before else f"New: {document(change)}"
        )
        found.append(section(f"{lead}\n{diff_text(before, change.body)}"))
    return found


def _buttons(proposal: Proposal) -> list[Json]:
    identifier = proposal.proposal_id
    why = button("Why?", f"{LEARN}:why", identifier)
    if proposal.state == "awaiting":
        sure = SURE if proposal.risk == "high" else ""
        approve = button("Approve", f"{LEARN}:approve", identifier, primary=True, sure=sure)
        reject = button("Reject", f"{LEARN}:reject", identifier, danger=True)
        return [actions(approve, reject, button("Discuss", f"{LEARN}:discuss", identifier), why)]
    if proposal.state in ("live", "verified"):
        return [actions(why, button("Take it back", f"{LEARN}:back", identifier))]
    return [actions(why)]


def _small_print(shown: Suggestion, now: float) -> list[str]:
    proposal = shown.proposal
    from_ = f"suggested by {actor(proposal.learner)}"
    if proposal.state != "awaiting":
        return [from_, id_of(proposal)]
    asked = waiting(proposal.moved_at or now, now)
    since = f"waits for {asked}" if asked != "some minutes" else "new"
    return [from_, f"{shown.approvers} can decide", since, id_of(proposal)]


# How it went, for the thread


def result_text(proposal: Proposal, check: Trial | None, told: bool) -> str:
    """What is said in the thread of a card once it is known how a change did.

    `check` is its verification. `told`: everybody there may read what it rests on; else only
    figures are said.
    """
    figures = check.figures if check else {}
    reason = said(proposal.reason, 500) if told else ""
    if proposal.state == "verified":
        if words := effect(figures):
            return f"🎉 It helped by {words} in right answers{_on(check)}.{_before(figures)}"
        return f"🎉 It helped{_on(check)}. {reason}".strip()
    if proposal.decided_by:
        by = actor(proposal.decided_by)
        why = f" {reason}{_stop(reason)}" if reason else ""
        return f"↩️ {by} took it back.{why} {_since(proposal)}"
    because = reason[:1].lower() + reason[1:] or "it did not help"
    return f"↩️ I took it back because {because}{_stop(because)} {_since(proposal)}"


BACK = "The former version answers again."
GONE = "It is not used any more."


def _since(proposal: Proposal) -> str:
    new = all(change.base is None and change.kind != "agent" for change in proposal.changes)
    return GONE if new else BACK


def _on(check: Trial | None) -> str:
    number = requests_of(check) if check else None
    return f", on {count(number, 'request')}" if number else ""


def _before(figures: Mapping[str, Any]) -> str:
    before, now = known(figures.get("rate_before")), known(figures.get("rate_now"))
    if before is None or now is None:
        return ""
    return f" Before, {share(before)} of the answers were right; now {share(now)} are."


def _stop(text: str) -> str:
    return "" if text[-1:] in ".!?" else "."
