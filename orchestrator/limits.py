"""How much one person, one channel and the whole workspace may ask for, and what one agent and
one workflow may cost.

Windows of minutes and hours are kept in this process (each worker has its own); what was spent
today comes from the record, so that a restart forgives nothing and other workers count.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from database.errors import BudgetExceeded
from database.records import Run, Spent
from orchestrator.policy import Measure, Policy, Scope
from orchestrator.requests import Request

_DAY = 86_400.0
_WINDOWS: Mapping[Measure, float] = {"requests_per_minute": 60.0, "requests_per_hour": 3600.0}
_Whose = tuple[Scope, str]
_Measured = tuple[Measure, float, Callable[[float], str]]
"""A measure, what is used of it, and when something of it will be free again."""

_WORDS: Mapping[Measure, str] = {
    "requests_per_minute": "{limit:,.0f} requests a minute",
    "requests_per_hour": "{limit:,.0f} requests an hour",
    "tokens_per_day": "{limit:,.0f} tokens a day",
    "usd_per_day": "${limit:,.2f} a day",
    "at_once": "{limit:,.0f} requests at the same time",
}
_THEIRS: Mapping[Scope, str] = {
    "person": "You have reached your limit of",
    "channel": "This channel has reached its limit of",
    "workspace": "This workspace has reached its limit of",
    "agent": "The agent {of} has reached its limit of",
    "workflow": "The workflow {of} has reached its limit of",
}


ALERT_AT = 0.8
"""From this share of a day's limit on approvers are told; at all of it they are asked."""
_MOST_ALERTS = 10
_WHO: Mapping[Scope, str] = {
    "person": "<@{of}> has", "channel": "<#{of}> has", "workspace": "This workspace has",
    "agent": "The agent {of} has", "workflow": "The workflow {of} has",
}  # fmt: skip


class LimitReached(BudgetExceeded):
    """Refused before any work was done, so it says nothing about any agent."""


class SpentSource(Protocol):
    """The record of what runs took."""

    async def spent(self, since: float) -> list[Spent]:
        """By person, channel, agent and workflow."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A day's limit that is nearly or wholly used; `about` is the same for the same of a day."""

    about: str
    text: str
    share: float


@dataclass(slots=True)
class _Used:
    tokens: Counter[_Whose] = field(default_factory=Counter)
    usd: defaultdict[_Whose, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, spent: Spent) -> None:
        whom = [*_scopes(spent.user_id, spent.channel_id), *_named(spent.agent, spent.workflow)]
        for whose in whom:
            self.tokens[whose] += spent.tokens
            self.usd[whose] += spent.usd


class Limits:
    """Lets requests in or says why not; `admit` and `done` belong together."""

    def __init__(
        self, policy: Policy, source: SpentSource, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._policy = policy
        self._source = source
        self._clock = clock
        self._asked: defaultdict[tuple[_Whose, Measure], deque[float]] = defaultdict(deque)
        self._running: Counter[_Whose] = Counter()
        self._day = _day(clock())
        self._used = _Used()

    async def load(self) -> None:
        """Read again what was spent today, other workers' runs included; for the clock."""
        day = _day(self._clock())
        used = _Used()
        for spent in await self._source.spent(day):
            used.add(spent)
        self._day, self._used = day, used
        self._forget_idle()

    def admit(self, request: Request) -> None:
        """Count a request in.

        Raises:
            LimitReached: it was not counted; the message says which limit, when to come back
                and who can raise it.
        """
        now = self._clock()
        if _day(now) != self._day:
            self._day, self._used = _day(now), _Used()
        whose = list(_scopes(request.user_id, request.channel_id))
        for scope in whose:
            self._check(scope, self._measured(scope, now))
        for scope in _named(request.agent or "", request.workflow or ""):
            self._check(scope, self._budgeted(scope, now))
        for scope in whose:
            self._running[scope] += 1
            for measure in _WINDOWS:
                self._asked[scope, measure].append(now)

    def admit_agent(self, name: str) -> None:
        """Raises LimitReached for an agent that has spent its day's budget."""
        self._check(("agent", name), self._budgeted(("agent", name), self._clock()))

    def agent_may(self, name: str) -> bool:
        """Whether an agent may still answer today."""
        try:
            self.admit_agent(name)
        except LimitReached:
            return False
        return True

    def done(self, request: Request) -> None:
        """An admitted request has ended."""
        for scope in _scopes(request.user_id, request.channel_id):
            self._running[scope] -= 1
            if self._running[scope] <= 0:
                del self._running[scope]

    def spend(self, run: Run) -> None:
        """A run was recorded."""
        if run.started_at is None or run.started_at >= self._day:
            tokens = (run.input_tokens or 0) + (run.output_tokens or 0)
            who, where = run.user_id or "", run.channel_id or ""
            workflow = str((run.route or {}).get("workflow") or "")
            usd = run.cost_usd or 0.0
            self._used.add(Spent(who, where, tokens, usd, run.agent, workflow))

    def alerts(self) -> list[Alert]:
        """What approvers should know of today's tokens and dollars, the gravest first."""
        used: Mapping[Measure, Mapping[_Whose, float]] = {
            "usd_per_day": self._used.usd, "tokens_per_day": self._used.tokens,
        }  # fmt: skip
        found = []
        for measure, sums in used.items():
            for whose, spent in sums.items():
                limit = self._policy.limit(whose[0], measure, whose[1])
                if limit is not None and spent and spent >= ALERT_AT * limit:
                    found.append(_alert(whose, measure, spent, limit))
        order = {"workspace": 0, "channel": 1, "agent": 2, "workflow": 3, "person": 4}
        found.sort(key=lambda one: (one.share < 1.0, order[one.about.split("-")[1]], -one.share))
        return found[:_MOST_ALERTS]

    def _check(self, whose: _Whose, measured: Iterable[_Measured]) -> None:
        scope, of = whose
        for measure, used, free_in in measured:
            limit = self._policy.limit(scope, measure, of)
            if limit is not None and used >= limit:
                raise LimitReached(_refusal(whose, measure, limit, free_in(limit)))

    def _measured(self, whose: _Whose, now: float) -> Iterator[_Measured]:
        yield "at_once", self._running[whose], lambda _: "as soon as one of them is answered"
        for measure, seconds in _WINDOWS.items():
            asked = self._asked[whose, measure]
            while asked and asked[0] <= now - seconds:
                asked.popleft()
            yield measure, len(asked), _when_free(asked, seconds, now)
        yield from self._budgeted(whose, now)

    def _budgeted(self, whose: _Whose, now: float) -> Iterator[_Measured]:
        until = _in_words(self._day + _DAY - now)
        tomorrow = f"{until}, when the day begins (00:00 UTC)"
        yield "tokens_per_day", self._used.tokens[whose], lambda _: tomorrow
        yield "usd_per_day", self._used.usd[whose], lambda _: tomorrow

    def _forget_idle(self) -> None:
        oldest = self._clock() - 3600.0
        for key in [key for key, asked in self._asked.items() if not asked or asked[-1] <= oldest]:
            del self._asked[key]


def _scopes(user_id: str, channel_id: str) -> Iterator[_Whose]:
    if user_id:
        yield "person", user_id
    if channel_id and not channel_id.startswith("D"):
        yield "channel", channel_id
    yield "workspace", ""


def _named(agent: str, workflow: str) -> Iterator[_Whose]:
    if agent:
        yield "agent", agent
    if workflow:
        yield "workflow", workflow


def _when_free(asked: deque[float], seconds: float, now: float) -> Callable[[float], str]:
    def free(limit: float) -> str:
        place = len(asked) - int(limit)
        return _in_words(asked[place] + seconds - now if 0 <= place < len(asked) else seconds)

    return free


def _refusal(whose: _Whose, measure: Measure, limit: float, when: str) -> str:
    scope, of = whose
    reached = f"{_THEIRS[scope].format(of=of)} {_WORDS[measure].format(limit=limit)}."
    name = f"{scope}_{measure}" + (f".{of}" if of else "")
    return (
        f"{reached} Ask again {when}. An approver can raise it: `policy set {name} NUMBER`, "
        "said to me."
    )


def _alert(whose: _Whose, measure: Measure, spent: float, limit: float) -> Alert:
    scope, of = whose
    share = spent / limit if limit else 1.0
    said = _WHO[scope].format(of=of)
    allowed = _WORDS[measure].format(limit=limit)
    name = f"{scope}_{measure}" + (f".{of}" if of else "")
    if share < 1.0:
        amount = f"${spent:,.2f}" if measure == "usd_per_day" else f"{spent:,.0f}"
        text = f"{said} used {amount} of {allowed} ({share:.0%}). It begins anew at 00:00 UTC."
    else:
        text = (
            f"{said} used up {allowed}. I answer nothing more that counts there before 00:00 UTC, "
            f"unless an approver raises it. Shall I go on? Then say `policy set {name} NUMBER`."
        )
    level = 100 if share >= 1.0 else 80
    return Alert(f"budget-{scope}-{of}-{measure}-{level}", text, share)


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"in {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"in {round(seconds / 60)} minutes"
    return f"in {round(seconds / 3600)} hours"


def _day(now: float) -> float:
    """The beginning of the UTC day."""
    moment = datetime.fromtimestamp(now, UTC)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
