"""The learning page in App Home: how learning stands, what it does and what waits. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from database.learning import Proposal, Trial
from orchestrator.learning_status import (
    AgentStanding,
    LearnerStatus,
    LearningFigures,
    LearningStatus,
)
from slack_interface.blocks import (
    actions,
    button,
    context,
    divider,
    header,
    option,
    section,
    select,
)
from slack_interface.incoming import Json
from slack_interface.learning_answers import metrics_lines
from slack_interface.learning_cards import LEARN
from slack_interface.learning_words import (
    METHODS,
    actor,
    count,
    date,
    effect,
    id_of,
    requests_of,
    risk,
    said,
    share,
    usd,
)

AGENT_MODE = "learn_mode"
"""Action ids are `learn_mode:AGENT`."""

MODES: Mapping[str, str] = {
    "ask": "Ask first", "automatic": "Proven low risk by itself", "paused": "Nothing changes",
}  # fmt: skip
_SWITCH: Mapping[str, str] = {
    "on": "🟢 *Learning is on.* I look for what to do better, try it, and ask "
    "before anything changes that nobody let me change by myself.",
    "paused": "⏸️ *Learning pauses.* Nothing new is proposed, tried or made "
    "live. What is live stays.",
    "off": "⚪ *Learning is off.* I answer as I was shipped. What I learned is kept.",
}
AGENTS_SHOWN, TRIALS_SHOWN, LISTED = 12, 8, 8
_CELLS = 10


@dataclass(frozen=True, slots=True)
class LearningPage:
    """What the page shows to one person: `audiences` is what they may read."""

    status: LearningStatus
    audiences: Collection[str]
    now: float
    approver: bool = False
    proposals: Sequence[Proposal] = ()
    trials: Sequence[Trial] = ()
    figures: LearningFigures = field(default_factory=LearningFigures)
    notes: Sequence[str] = ()


def learning_view(page: LearningPage) -> Json:
    """The page; at most 100 blocks."""
    blocks = [
        header("How I learn"),
        actions(button("Back to Home", f"{LEARN}:home", "home")),
        *(section(said(note)) for note in page.notes[:3]),
        *_switch(page),
        *_waiting(page),
        *_contested(page),
        *_trials(page),
        *_learners(page.status.learners),
        *_decided(page),
        *_modes(page),
        *_figures(page),
    ]
    return {"type": "home", "blocks": blocks[:100]}


def learning_teaser(status: LearningStatus, waiting: int) -> list[Json]:
    """What Home says of it, with the way to the page."""
    now = {"on": "on", "paused": "pausing", "off": "off"}[status.switch]
    verb = "waits" if waiting == 1 else "wait"
    asks = f"{count(waiting, 'suggestion')} {verb} for a decision" if waiting else "nothing waits"
    show = button("How I learn", f"{LEARN}:page", "page", primary=bool(waiting))
    return [section(f"*Learning* is {now}; {asks}.", show)]


def bar(value: float, most: float) -> str:
    """How far something is: `███░░░░░░░`."""
    full = 0 if most <= 0 else min(_CELLS, int(_CELLS * value / most))
    return "█" * full + "░" * (_CELLS - full)


def _switch(page: LearningPage) -> list[Json]:
    status = page.status
    by = f" Decided by {actor(status.set_by)}." if status.set_by else ""
    because = f" {said(status.because, 300)}" if status.because else ""
    blocks = [section(f"{_SWITCH[status.switch]}{by}{because}")]
    if not page.approver:
        return blocks
    on = button("Go on", f"{LEARN}:on", "on", primary=True)
    pause = button("Pause", f"{LEARN}:paused", "paused")
    off = button("Turn off", f"{LEARN}:off", "off", danger=True)
    chosen = {"on": [pause, off], "paused": [on, off], "off": [on]}[status.switch]
    return [*blocks, actions(*chosen)]


def _waiting(page: LearningPage) -> list[Json]:
    waiting = [p for p in page.proposals if p.state == "awaiting"]
    if not waiting:
        return []
    blocks: list[Json] = [divider(), header("Waiting for a decision")]
    for proposal in waiting[:LISTED]:
        title = _title(proposal, page.audiences)
        danger = risk(proposal, proposal.audience in page.audiences)
        line = f"*{title}*\n{danger} · asked {date(proposal.moved_at)} · {id_of(proposal)}"
        look = button("Look at it", f"{LEARN}:card", proposal.proposal_id)
        blocks.append(section(line, look if page.approver else None))
    return [*blocks, *_more(len(waiting))]


def _contested(page: LearningPage) -> list[Json]:
    """What people disagree about, to those who may read it."""
    seen = [one for one in page.status.contested if one.audience in page.audiences]
    if not page.status.contested:
        return []
    lines = [f"• “{said(' '.join(one.request.split()), 120)}”" for one in seen[:LISTED]]
    if more := len(page.status.contested) - len(lines):
        lines.append(f"• {count(more, 'more request')}")
    hint = "I learn nothing from these until most of you say the same of an answer to it."
    return [divider(), header("People disagree about what is right"), section("\n".join(lines)),
            context(hint)]  # fmt: skip


def _title(proposal: Proposal, audiences: Collection[str]) -> str:
    if proposal.audience in audiences:
        return said(proposal.title, 160)
    return "a change that rests on conversations that you may not read"


def _trials(page: LearningPage) -> list[Json]:
    titles = {proposal.proposal_id: proposal for proposal in page.proposals}
    blocks: list[Json] = [divider(), header("Being tried")]
    for trial in page.trials[:TRIALS_SHOWN]:
        proposal = titles.get(trial.proposal_id)
        blocks.append(section(_trial(trial, proposal, page.audiences)))
    if not page.trials:
        blocks.append(section("Nothing just now."))
    return blocks


def _trial(trial: Trial, proposal: Proposal | None, audiences: Collection[str]) -> str:
    title = _title(proposal, audiences) if proposal else f"a change of {said(trial.agent, 60)}"
    watched = proposal is not None and proposal.state in ("live", "verified")
    lead = "Live, and watched: " if watched else ""
    seen = requests_of(trial) or 0
    words = effect(trial.figures)
    so_far = f"so far {words}" if words else "too early to say"
    named = proposal is None or proposal.audience in audiences
    to = f" to {said(trial.agent, 60)}" if named else ""
    some = "all" if not trial.share else share(trial.share) + " of the"
    how = f"{some} requests{to}" + (f": {METHODS[trial.method]}" if trial.share else "")
    if trial.figures.get("use"):
        how, so_far = "whenever it is used", said(trial.reason, 200) or "nothing was seen of it yet"
    return f"{lead}*{title}*\n{how}\n{bar(seen, trial.most)} {seen:,} of {trial.most:,} · {so_far}"


def _learners(learners: Sequence[LearnerStatus]) -> list[Json]:
    if not learners:
        return []
    return [divider(), header("When I look again"), *(section(_learner(one)) for one in learners)]


def _learner(one: LearnerStatus) -> str:
    signals = f"{bar(one.signals, one.threshold)} {one.signals:,} of {one.threshold:,} signals"
    if one.running:
        when = "looking right now"
    elif one.threshold and one.signals >= one.threshold:
        when = "enough to look at: soon"
    elif one.next_run:
        when = f"at the latest {date(one.next_run)}"
    else:
        when = "once there are enough"
    last = f" · looked last {date(one.last_run)}" if one.last_run else ""
    trouble = f" · :warning: {said(one.problem, 120)}" if one.problem else ""
    return f"*{said(one.name, 60)}*: {said(one.about, 200)}\n{signals} · {when}{last}{trouble}"


def _decided(page: LearningPage) -> list[Json]:
    ended = [p for p in page.proposals if p.state not in ("proposed", "trial", "awaiting")]
    if not ended:
        return []
    alone, people = page.figures.promoted_alone, page.figures.promoted_by_people
    lead = f"Went live in the last 30 days: {alone:,} by themselves, {people:,} by people's word."
    ended.sort(key=lambda proposal: proposal.moved_at, reverse=True)
    lines = [_ended(proposal, page.audiences) for proposal in ended[:LISTED]]
    return [divider(), header("Decided"), section(lead), *(section(line) for line in lines)]


def _ended(proposal: Proposal, audiences: Collection[str]) -> str:
    sign = {
        "live": "✅ made live", "verified": "🎉 shown to help",
        "rolled_back": "↩️ taken back",
        "rejected": "🚫 rejected", "superseded": "⏩ superseded",
    }.get(proposal.state, "")  # fmt: skip
    alone = " by itself" if proposal.state in ("live", "rolled_back", "rejected") else ""
    by = f" by {actor(proposal.decided_by)}" if proposal.decided_by else alone
    if proposal.state == "verified" and proposal.decided_by:
        by = f", approved{by}"
    title = _title(proposal, audiences)
    return f"*{title}*\n{sign}{by} · {date(proposal.moved_at)} · {id_of(proposal)}"


def _modes(page: LearningPage) -> list[Json]:
    seen = (one for one in page.status.agents if one.audience in page.audiences)
    agents = sorted(seen, key=_matters, reverse=True)
    if not agents or not page.approver:
        return []
    shown = agents[:AGENTS_SHOWN]
    more = len(agents) - len(shown)
    hint = "`policy set mode.AGENT automatic` decides for the others" if more > 0 else ""
    return [
        divider(),
        header("Who decides about an agent's changes"),
        *(_mode(standing) for standing in shown),
        *([context(f"{count(more, 'more agent')}: {hint}")] if more > 0 else []),
    ]


def _matters(standing: AgentStanding) -> tuple[bool, bool, int, str]:
    decided = standing.mode != "ask"
    return standing.earned, decided, standing.verified + standing.rolled_back, standing.agent


def _mode(standing: AgentStanding) -> Json:
    options = [option(label, name) for name, label in MODES.items()]
    choice = select(f"{AGENT_MODE}:{standing.agent}", options, standing.mode, "Choose")
    changed = standing.verified + standing.rolled_back
    record = f"{standing.verified} helped, {standing.rolled_back} taken back"
    record = record if changed else "nothing changed yet"
    health = f" · health {standing.health:.0f} of 100" if standing.health is not None else ""
    words = f"*{said(standing.agent, 60)}*: {record}{health}"
    if standing.earned:
        words += (
            "\n✨ Its last changes all helped. You may let proven changes of low risk go "
            "live by themselves; I tell you of each, and take back what does harm."
        )
    return section(words, choice)


def _figures(page: LearningPage) -> list[Json]:
    said_of = metrics_lines(page.figures, page.status.agents, page.audiences)
    lines = [*said_of, *_budget(page.status)]
    return [divider(), header("The last 30 days"), section("\n".join(lines))]


def _budget(status: LearningStatus) -> list[str]:
    allowed = f" of {status.tokens_allowed:,}" if status.tokens_allowed is not None else ""
    lines = [f"Learning's budget: {status.tokens_today:,}{allowed} tokens today"]
    if status.usd_week is not None and status.usd_allowed is not None:
        lines[0] += f", {usd(status.usd_week)} of {usd(status.usd_allowed)} in seven days"
    return lines


def _more(number: int) -> list[Json]:
    return [context(f"and {number - LISTED} more")] if number > LISTED else []
