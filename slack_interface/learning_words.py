"""Numbers and names of learning in words: effects, shares, costs, what a change touches."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.variants import variant_of
from database.learning import Change, Finding, Proposal, Trial
from orchestrator.kind_names import plainly
from slack_interface.blocks import escaped, shortened
from slack_interface.model_words import ModelWords

ID_CHARS = 8
"""So much of an id is shown; the command line takes it as well."""

KINDS: Mapping[str, str] = {
    "agent": "the agent", "runbook": "the runbook", "team": "the team", "lesson": "the lesson",
    "model": "the learned model",
}  # fmt: skip
RISKS: Mapping[str, str] = {
    "low": "🟢 Low", "medium": "🟡 Medium",
    "high": "🔴 High",
}  # fmt: skip
METHODS: Mapping[str, str] = {
    "replay": "past questions asked again", "shadow": "requests answered both ways, side by side",
    "split": "requests of people, some answered the new way",
}  # fmt: skip
STRENGTHS: Mapping[str, str] = {
    "weak": "Weak", "moderate": "Moderate", "strong": "Strong", "very strong": "Very strong",
}  # fmt: skip


def said(text: str, most: int = 1500) -> str:
    """What a learner, a model or a person wrote, fit for mrkdwn: it mentions nobody and its links
    carry nothing. Kinds of requests are not called by their number.
    """
    return ModelWords().whole(escaped(shortened(plainly(text).strip(), most)))


def known(value: object) -> float | None:
    """A number, if it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if value == value and abs(value) != float("inf") else None


def part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping inside a mapping; empty where there is none."""
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def parts(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The mappings in a list inside a mapping."""
    found = values.get(name)
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        return []
    return [entry for entry in found if isinstance(entry, Mapping)]


def texts(values: Mapping[str, Any], name: str) -> list[str]:
    """The texts in a list inside a mapping."""
    found = values.get(name)
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        return []
    return [str(entry) for entry in found]


def count(number: int, noun: str, many: str = "") -> str:
    """`1 pattern`, `2 patterns`, `1,000 patterns`."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def share(value: float) -> str:
    """`71%`."""
    return f"{value:.0%}"


def points(value: float) -> str:
    """A difference of shares: `+12 points`, `-1 point`."""
    shown = round(value * 100, 1)
    shown = round(shown) if abs(shown) >= 1 or shown == 0 else shown
    return f"{_signed(shown)} point" + ("" if abs(shown) == 1 else "s")


def between(low: float | None, high: float | None) -> str:
    """The bounds of a difference of shares: `between +4 and +20`."""
    if low is None and high is None:
        return ""
    if low is None or high is None:
        bound = low if low is not None else high
        assert bound is not None
        return f"at {'least' if low is not None else 'most'} {_signed(round(bound * 100))}"
    return f"between {_signed(round(low * 100))} and {_signed(round(high * 100))}"


def effect(values: Mapping[str, Any]) -> str:
    """An effect with its uncertainty: `+12 points (between +4 and +20)`; '' where there is none."""
    size = known(values.get("effect"))
    bounds = between(known(values.get("low")), known(values.get("high")))
    if size is None:
        return f"{bounds} points" if bounds else ""
    return points(size) + (f" ({bounds})" if bounds else "")


def usd(value: float) -> str:
    """An amount, small ones as exactly as they need."""
    return f"${value:,.2f}" if value >= 0.1 or value == 0 else f"${value:.4f}"


def shown_value(value: object) -> str:
    """A figure for people, whatever it is."""
    number = known(value)
    if number is None:
        return shortened(str(value), 200)
    if number.is_integer():
        return f"{int(number):,}"
    return f"{number:,.2f}" if abs(number) >= 1 else f"{number:.4g}"


def seconds(milliseconds: float) -> str:
    """`1.2 s`."""
    return f"{milliseconds / 1000:.1f} s"


def short_id(identifier: str) -> str:
    """The beginning of an id, in code."""
    return f"`{escaped(identifier[:ID_CHARS])}`"


def date(at: float) -> str:
    """A time as Slack shows it to each reader in their own zone."""
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    return f"<!date^{int(at)}^{{date_short_pretty}} {{time}}|{day}>"


def waiting(since: float, now: float) -> str:
    """How long ago: `3 days`, `5 hours`, `some minutes`."""
    hours = max(0.0, now - since) / 3600
    if hours >= 48:
        return f"{int(hours // 24)} days"
    if hours >= 24:
        return "a day"
    return f"{int(hours)} hours" if hours >= 2 else "an hour" if hours >= 1 else "some minutes"


def document(change: Change) -> str:
    """What a change touches: `the agent coder`."""
    variant = variant_of(change.name) if change.kind == "agent" else None
    if variant:
        return f"the agent *{escaped(variant.agent)}* for one kind of request"
    return f"{KINDS.get(change.kind, change.kind)} *{escaped(change.name)}*"


def touched(proposal: Proposal) -> str:
    """All that a proposal touches, as a list in words."""
    named = [document(change) for change in proposal.changes[:4]]
    if len(proposal.changes) > 4:
        named.append(f"{len(proposal.changes) - 4} more")
    if len(named) <= 1:
        return "".join(named)
    return f"{', '.join(named[:-1])} and {named[-1]}"


def actor(name: str | None) -> str:
    """Who acted: a mention of a person, a learner's name, or the assistant itself."""
    if not name:
        return "me"
    return f"<@{name}>" if name[:1] in "UW" and name.isalnum() and name.isupper() else escaped(name)


def risk(proposal: Proposal, told: bool = True) -> str:
    """The risk with why it is so; where not `told`, without the names of what it touches."""
    reasons = [_risk_reason(reason, told) for reason in proposal.risk_reasons[:4]]
    why = "; ".join(dict.fromkeys(reasons))
    return RISKS.get(proposal.risk, proposal.risk) + (f": {why}" if why else "")


def _risk_reason(reason: str, told: bool) -> str:
    """Without its own risk in front, which stands before all of them."""
    level, _, why = reason.partition(": ")
    words = plainly(why if level in RISKS and why else reason)
    return escaped(words if told else words.partition(" (")[0])


def requests_of(trial: Trial) -> int | None:
    """How many requests a trial's last look counted: uses, or those judged both ways first."""
    used = "uses" if trial.figures.get("use") else "pairs"
    for name in (used, "comparisons", "requests", "uses"):
        if found := known(trial.figures.get(name)):
            return int(found)
    return None


def strength(finding: Finding) -> str:
    """How sure a pattern is."""
    return STRENGTHS.get(finding.strength or "", "")


def tried(trial: Trial | None, changes: int = 1) -> str:
    """How a trial went, and on what; `changes` are those that a proposal makes together."""
    if trial is None and changes > 1:
        return f"not tried: it makes {changes} changes at once, and only one can be compared"
    if trial is None:
        return "not yet: there is nothing to compare it with"
    words = effect(trial.figures)
    number = requests_of(trial)
    on = f"{count(number, 'request')}" if number else "no request yet"
    ended = {
        "running": "still running", "proven": "proven", "unproven": "not proven",
        "harmful": "harmful", "stopped": "stopped",
    }[trial.state]  # fmt: skip
    if missing := int(known(trial.figures.get("missing")) or 0):
        on += f" ({missing:,} more could not be compared)"
    judge = known(trial.figures.get("judge_agreement"))
    by = f"; a judging model agreed with people in {share(judge)}" if judge is not None else ""
    return f"{f'{words}, ' if words else ''}{ended}, on {on}: {METHODS[trial.method]}{by}"


def change_of(values: Mapping[str, Any], shown: Callable[[float], str]) -> str:
    """`$0.0021 → $0.0019 (-10%)`; '' where it is not known."""
    before = known(values.get("before", values.get("active")))
    after = known(values.get("after", values.get("candidate")))
    if before is None or after is None:
        return ""
    change = f" ({after / before - 1:+.0%})" if before and shown is not share else ""
    return f"{shown(before)} → {shown(after)}{change}"


def id_of(record: Finding | Proposal) -> str:
    """The beginning of its id, in code."""
    identifier = record.finding_id if isinstance(record, Finding) else record.proposal_id
    return short_id(identifier)


def _signed(number: float) -> str:
    text = f"{number:g}"
    return text if number < 0 or number == 0 else f"+{text}"
