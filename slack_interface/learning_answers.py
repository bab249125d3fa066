"""Answers to questions about learning, from the records: pure, each number with its source.

What not everybody who reads the answer may see is counted and not named.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from agents.improvement.health import WEIGHTS
from database.learning import Finding, Proposal, Trial
from orchestrator.learning_status import (
    AgentStanding,
    LearningFigures,
    LearningStatus,
    SpentOn,
)
from slack_interface.blocks import context, section, shortened
from slack_interface.incoming import Card
from slack_interface.learning_questions import Question
from slack_interface.learning_words import (
    actor,
    count,
    date,
    effect,
    id_of,
    known,
    requests_of,
    said,
    share,
    strength,
    texts,
    usd,
)

_SPOKEN_OF = 0.05
"""Of the whole score: what costs less is not worth a word."""
LISTED = 6
"""So many of a kind are named; the others are counted."""

LOOK_UP = "Say `why ID` to me for the evidence behind an id; `virtuous6 proposals show ID` has all."


BY_AGENT = "`/metrics everyone 7d` and `virtuous6 metrics` have the same by agent and day."


@dataclass(frozen=True, slots=True)
class Records:
    """What the answers are made from; `trials` are those that are running."""

    findings: Sequence[Finding] = ()
    proposals: Sequence[Proposal] = ()
    trials: Sequence[Trial] = ()
    figures: LearningFigures = field(default_factory=LearningFigures)
    status: LearningStatus = field(default_factory=LearningStatus)


def answer(question: Question, records: Records, audiences: Collection[str]) -> Card:
    """The answer in words and blocks."""
    match question.topic:
        case "patterns":
            lines = _patterns(question, records, audiences)
        case "improve":
            lines = _plans(records, audiences)
        case "learned":
            lines = _learned(question, records, audiences)
        case _:
            lines = cost_lines(question.period, records.figures, audiences)
    text = shortened("\n".join(lines), 2900)
    return text, [section(text), context(_source(question, records))]


def _source(question: Question, records: Records) -> str:
    looked = f"From my records {date(question.since)} to {date(question.until)}"
    how = BY_AGENT if question.topic == "cost" else LOOK_UP
    return f"{looked}, {count(records.figures.answers, 'answer')}. {how}"


# Patterns


def _patterns(question: Question, records: Records, audiences: Collection[str]) -> list[str]:
    within = [f for f in records.findings if question.since <= f.created_at < question.until]
    patterns = [finding for finding in within if finding.kind == "pattern"]
    others = [finding for finding in within if finding.kind not in ("pattern", "note")]
    if not patterns:
        lines = [f"I found no pattern {question.period}.{_next_look(records.status)}"]
    else:
        lines = [f"*{count(len(patterns), 'pattern')}* {question.period}:"]
    lines += finding_lines(patterns, audiences)
    if others:
        lines += [f"Besides, {count(len(others), 'other finding')}:"]
        lines += finding_lines(others, audiences, LISTED // 2)
    return lines


def finding_lines(
    findings: Sequence[Finding], audiences: Collection[str], most: int = LISTED
) -> list[str]:
    """A line for each that may be named, strongest first; the others in numbers."""
    named = [finding for finding in findings if finding.audience in audiences]
    lines = [_finding_line(finding) for finding in sorted(named, key=_weight, reverse=True)[:most]]
    if len(named) > most:
        lines.append(f"• and {len(named) - most} more")
    if hidden := len(findings) - len(named):
        lines.append(f"• {hidden} in conversations that not everybody here may read")
    return lines


def _weight(finding: Finding) -> tuple[int, float]:
    order = ["", "weak", "moderate", "strong", "very strong"]
    return order.index(finding.strength or ""), known(finding.data.get("support")) or 0.0


def _finding_line(finding: Finding) -> str:
    data = finding.data
    support, people = known(data.get("support")), known(data.get("people"))
    success = known(data.get("success"))
    facts = [
        strength(finding).lower(),
        count(int(support), "time") if support else count(len(finding.runs), "answer"),
        count(int(people), "person", "people") if people else "",
        f"{share(success)} succeeded" if success is not None else "",
        {"verified": "people say it is so", "dismissed": "people say it is not so"}.get(
            finding.state, ""
        ),
    ]
    shown = ", ".join(fact for fact in facts if fact)
    return f"• *{said(finding.title, 160)}*: {shown} {id_of(finding)}"


def _next_look(status: LearningStatus) -> str:
    if status.switch != "on":
        return f" Learning is {status.switch}."
    coming = [one for one in status.learners if one.next_run]
    if not coming:
        return ""
    first = min(coming, key=lambda one: one.next_run or 0.0)
    return f" I look again {date(first.next_run or 0.0)}, or sooner once there is enough new."


# Plans


def _plans(records: Records, audiences: Collection[str]) -> list[str]:
    waiting = [p for p in records.proposals if p.state == "awaiting"]
    tried = [p for p in records.proposals if p.state in ("proposed", "trial")]
    open_problems = [
        f for f in records.findings
        if f.state != "dismissed" and f.kind in ("problem", "gap", "bottleneck")
        and not _is_mended(f, records.proposals)
    ]  # fmt: skip
    lines: list[str] = []
    if waiting:
        verb = "waits" if len(waiting) == 1 else "wait"
        lines += [f"*{count(len(waiting), 'suggestion')}* of mine {verb} for a decision:"]
        lines += proposal_lines(waiting, audiences)
    if tried:
        lines += [f"I am trying {count(len(tried), 'change')}:"]
        lines += _trial_lines(tried, records.trials, audiences)
    if open_problems:
        lines += ["What I know I am not good at yet:"]
        lines += finding_lines(open_problems, audiences, LISTED // 2)
    if not lines:
        nothing = "Nothing that I could show to help, right now: rate my answers and say why, "
        return [f"{nothing}and I have something to learn from.{_next_look(records.status)}"]
    if records.status.switch != "on":
        lines.append(f"But learning is {records.status.switch}, so nothing of this moves.")
    return lines


def _is_mended(problem: Finding, proposals: Sequence[Proposal]) -> bool:
    """Whether a change that rests on the same answers was shown to help since."""
    runs = {*problem.runs}
    return any(
        p.state == "verified" and p.moved_at > problem.created_at
        and runs & {*texts(p.evidence, "runs")}
        for p in proposals
    )  # fmt: skip


def proposal_lines(
    proposals: Sequence[Proposal], audiences: Collection[str], most: int = LISTED
) -> list[str]:
    """A line for each suggestion that may be named; the others in numbers."""
    named = [proposal for proposal in proposals if proposal.audience in audiences]
    lines = []
    for proposal in named[:most]:
        expected = effect(proposal.expected or {})
        gain = f", expected {expected}" if expected else ""
        lines.append(
            f"• *{said(proposal.title, 160)}*: {proposal.risk} risk{gain} {id_of(proposal)}"
        )
    if len(named) > most:
        lines.append(f"• and {len(named) - most} more")
    if hidden := len(proposals) - len(named):
        lines.append(f"• {hidden} that rest on conversations that not everybody here may read")
    return lines


def _trial_lines(
    proposals: Sequence[Proposal], trials: Sequence[Trial], audiences: Collection[str]
) -> list[str]:
    by_proposal = {trial.proposal_id: trial for trial in trials}
    named = [proposal for proposal in proposals if proposal.audience in audiences]
    lines = []
    for proposal in named[:LISTED]:
        trial = by_proposal.get(proposal.proposal_id)
        lines.append(f"• *{said(proposal.title, 160)}*{_so_far(trial)} {id_of(proposal)}")
    if hidden := len(proposals) - len(named[:LISTED]):
        lines.append(f"• and {hidden} more")
    return lines


def _so_far(trial: Trial | None) -> str:
    if trial is None:
        return ": its trial begins soon"
    number = requests_of(trial) or 0
    words = effect(trial.figures)
    shown = f"so far {words}" if words else "too early to say"
    return f": {shown}, after {number:,} of at most {count(trial.most, 'request')}"


# What was learned


def _learned(question: Question, records: Records, audiences: Collection[str]) -> list[str]:
    moved = [p for p in records.proposals if question.since <= p.moved_at < question.until]
    better = [p for p in moved if p.state in ("live", "verified")]
    back = [p for p in moved if p.state == "rolled_back"]
    within = [f for f in records.findings if question.since <= f.created_at < question.until]
    lines = [_learned_in_numbers(question, records.figures)]
    if better:
        lines += ["What I do differently now:", *moved_lines(better, audiences)]
    if back:
        lines += ["What did not help, and is taken back:", *moved_lines(back, audiences)]
    lessons = [f for f in within if f.kind in ("lesson", "pattern")]
    if lessons:
        lines += ["What I noticed:", *finding_lines(lessons, audiences)]
    return lines


def _learned_in_numbers(question: Question, figures: LearningFigures) -> str:
    done = [
        count(figures.patterns, "pattern") if figures.patterns else "",
        count(figures.proposals, "suggestion") if figures.proposals else "",
        f"{figures.promoted} went live" if figures.promoted else "",
        f"{figures.verified} shown to help" if figures.verified else "",
        f"{figures.rolled_back} taken back" if figures.rolled_back else "",
        f"{figures.rejected} rejected" if figures.rejected else "",
    ]
    shown = ", ".join(entry for entry in done if entry)
    looked = f"From {count(figures.answers, 'answer')} {question.period}"
    return f"{looked}: {shown}." if shown else f"{looked} I learned nothing new yet."


def moved_lines(
    proposals: Sequence[Proposal], audiences: Collection[str], most: int = LISTED
) -> list[str]:
    """A line for each that was decided and may be named, with what came of it."""
    named = [proposal for proposal in proposals if proposal.audience in audiences]
    lines = [f"• *{said(p.title, 160)}*: {_how_moved(p)} {id_of(p)}" for p in named[:most]]
    if hidden := len(proposals) - len(named[:most]):
        lines.append(f"• and {hidden} more")
    return lines


def _how_moved(proposal: Proposal) -> str:
    match proposal.state:
        case "verified":
            return f"it helped. {said(proposal.reason, 160)}".strip()
        case "rolled_back":
            return said(proposal.reason, 160) or "it did not help."
        case _:
            by = f"approved by {actor(proposal.decided_by)}" if proposal.decided_by else "by myself"
            return f"live, {by}; I watch how it does."


# Cost and savings


def cost_lines(period: str, figures: LearningFigures, audiences: Collection[str] = ()) -> list[str]:
    """What was spent and what is estimated to be saved, each with how it is known.

    What an agent, a workflow or a person cost is named to those who may know of them.
    """
    known_cost = usd(figures.cost_usd)
    unpriced = (
        f", and {count(figures.unpriced, 'answer')} of unknown price" if (figures.unpriced) else ""
    )
    if figures.unpriced and not figures.cost_usd:
        known_cost, unpriced = "an unknown amount (the model has no known price)", ""
    lines = [
        f"*Cost {period}:* {known_cost}{unpriced}, for {count(figures.answers, 'answer')}.",
        f"Of that, learning took {_learning_cost(figures)}.",
    ]
    shares = [
        _spent_line("By agent", "agent", figures.by_agent, audiences),
        _spent_line(
            f"By workflow, week {figures.week}", "workflow", figures.by_workflow, audiences
        ),
        _own_line(figures, audiences),
    ]
    return [*lines, *(line for line in shares if line), *saved_lines(figures)]


def _spent_line(lead: str, noun: str, spent: Sequence[SpentOn], audiences: Collection[str]) -> str:
    shown = [one for one in spent if one.audience in audiences][:LISTED]
    if not shown:
        return ""
    named = [f"{said(one.name, 60)} {_price(one)} ({count(one.runs, 'run')})" for one in shown]
    if more := len(spent) - len(shown):
        named.append(f"and {count(more, f'other {noun}')}")
    return f"*{lead}:* {', '.join(named)}."


def _own_line(figures: LearningFigures, audiences: Collection[str]) -> str:
    """What whoever asks cost, where nobody else reads it; of the others, how many they are."""
    own = next((one for one in figures.by_person if one.audience in audiences), None)
    if own is None:
        return ""
    others = [one for one in figures.by_person if one is not own]
    beside = f"; {count(len(others), 'other person', 'other people')} asked as well"
    return (
        f"*Yours, week {figures.week}:* {_price(own)} for {count(own.runs, 'run')}"
        f"{beside if others else ''}."
    )


def _price(spent: SpentOn) -> str:
    if spent.unpriced == spent.runs:
        return f"{count(spent.tokens, 'token')} of unknown price"
    return usd(spent.usd)


def saved_lines(figures: LearningFigures) -> list[str]:
    """What is estimated to be saved, and how it was estimated."""
    lines = []
    if figures.usd_saved is not None:
        more = "saved" if figures.usd_saved >= 0 else "spent more"
        how = f" ({said(figures.usd_how, 300)})" if figures.usd_how else ""
        lines.append(f"*Money {more}, estimated:* {usd(abs(figures.usd_saved))}{how}")
    if figures.minutes_saved is not None:
        how = f" ({said(figures.minutes_how, 300)})" if figures.minutes_how else ""
        minutes = count(round(figures.minutes_saved), "minute")
        lines.append(f"*Time saved, estimated:* {minutes}{how}")
    if figures.prevented_errors:
        lines.append(f"*Prevented errors:* {figures.prevented_errors:,}")
    lines += [f"*Could be saved, estimated:* {could}" for could in _could_save(figures)]
    return lines or ["*Saved:* nothing that I could show yet."]


def _could_save(figures: LearningFigures) -> list[str]:
    """What could be saved yet, with how it is counted; nothing where it is nothing."""
    if not figures.could_save_usd and figures.could_save_minutes < 1:
        return []
    money = f"{usd(figures.could_save_usd)} and " if figures.could_save_usd else ""
    minutes = count(round(figures.could_save_minutes), "minute")
    return [f"{money}{minutes} ({said(figures.could_save_how, 300)})"]


def health_line(agents: Sequence[AgentStanding], audiences: Collection[str]) -> str:
    """How the agents do, the worst first; '' where nothing is known."""
    known_ = [a for a in agents if a.health is not None and a.audience in audiences]
    ranked = sorted(known_, key=lambda a: (a.health or 0.0, a.agent))
    shown = [f"{said(a.agent, 60)} {a.health:.0f}{_weakest(a)}" for a in ranked[:LISTED]]
    more = f", and {len(ranked) - LISTED} better ones" if len(ranked) > LISTED else ""
    return f"Health of agents, of 100: {', '.join(shown)}{more}" if shown else ""


def _weakest(agent: AgentStanding) -> str:
    """The part that costs an agent most, where it is one to speak of."""
    lost = {name: WEIGHTS[name] * (1 - value) for name, value in agent.parts.items()}
    name = max(lost, key=lambda part: lost[part], default="")
    return f" ({name} {share(agent.parts[name])})" if name and lost[name] > _SPOKEN_OF else ""


def metrics_lines(
    figures: LearningFigures,
    agents: Sequence[AgentStanding] = (),
    audiences: Collection[str] = (),
) -> list[str]:
    """What `/metrics` says of learning, and of the health of agents that `audiences` may know."""
    health = health_line(agents, audiences)
    by = (
        f" ({figures.promoted_alone} by itself, {figures.promoted_by_people} by people)"
        if figures.promoted
        else ""
    )
    minutes = (
        f"{figures.minutes_saved:,.0f} (estimated: {said(figures.minutes_how, 200)})"
        if figures.minutes_saved is not None
        else "cannot be said yet"
    )
    return [
        f"Patterns: {figures.patterns} · Proposals: {figures.proposals}",
        f"Promotions: {figures.promoted}{by} · Rollbacks: {figures.rolled_back}",
        f"Prevented errors: {figures.prevented_errors} · Minutes saved: {minutes}",
        f"Learning took {_learning_cost(figures)}",
        *(f"Could be saved, estimated: {could}" for could in _could_save(figures)),
        *([health] if health else []),
    ]


def _learning_cost(figures: LearningFigures) -> str:
    tokens = count(figures.learning_tokens, "token")
    unknown = figures.learning_tokens and not figures.learning_usd and figures.unpriced
    return f"{tokens} of unknown price" if unknown else f"{usd(figures.learning_usd)} and {tokens}"
