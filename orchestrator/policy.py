"""What approvers decide about the assistant itself: audited limits and switches.

Learning never changes these: a policy is no Document. Each change is a row that stays; the latest
row of a key counts. A key is a name of `NAMES`, or for one place or person `NAME.ID`, where the id
is the workspace's own (`speak.C0123`, `person_tokens_per_day.U0123`), or for one agent `NAME.AGENT`
(`mode.coder`) or one workflow (`workflow_usd_per_day.weekly-report`).
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog

from database.errors import InputError, UnknownName
from database.records import LEARNING, PolicyChange

Speaking = Literal["mentions", "threads", "everything"]
Mode = Literal["automatic", "ask", "paused"]
Improving = Literal["on", "paused", "off"]
GoalStart = Literal["ask", "small", "always"]
Scope = Literal["person", "channel", "workspace", "agent", "workflow"]
Measure = Literal["requests_per_minute", "requests_per_hour", "tokens_per_day", "usd_per_day",
                  "at_once"]  # fmt: skip

RELOAD_SECONDS = 1.0
"""A change of another process shows after this."""
COMMAND_LINE = "command line"
"""Who set what was set where nobody said who."""

SCOPES: tuple[Scope, ...] = ("person", "channel", "workspace")
MEASURES: tuple[Measure, ...] = (
    "requests_per_minute", "requests_per_hour", "tokens_per_day", "usd_per_day", "at_once",
)  # fmt: skip

_ID = re.compile(r"^[A-Z][A-Z0-9]+$")
_AGENT = "agent"
"""In place of an id's first letters: the name of an agent, or of a workflow, follows."""
_WORKFLOW = "workflow"
_AGENT_NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
_MENTION = re.compile(r"<@([A-Z0-9]+)(?:\|[^<>]*)?>")
_UNLIMITED = frozenset({"unlimited", "none", "off"})
_TRUE, _FALSE = frozenset({"yes", "true", "on"}), frozenset({"no", "false", "off"})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Known:
    """A policy there is: what it means, what it may be, and whose ids may follow its name."""

    about: str
    default: Any
    read: Callable[[str], Any]
    ids: str = ""


def _choice(*options: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in options:
            raise ValueError(f"one of {', '.join(options)}")
        return text.lower()

    return read


def _switch(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("yes or no")


def _count(text: str) -> int | None:
    if text.lower() in _UNLIMITED:
        return None
    if not re.fullmatch(r"\d{1,12}", text.replace(",", "").replace("_", "")):
        raise ValueError("a whole number, or unlimited")
    return int(text.replace(",", ""))


def _money(text: str) -> float | None:
    if text.lower() in _UNLIMITED:
        return None
    if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text.removeprefix("$")):
        raise ValueError("an amount in dollars, such as 2.50, or unlimited")
    return float(text.removeprefix("$"))


def _share(text: str) -> float:
    number = text.removesuffix("%")
    if re.fullmatch(r"\d{1,3}(\.\d{1,4})?", number):
        share = float(number) / (100.0 if text.endswith("%") else 1.0)
        if share <= 1.0:
            return share
    raise ValueError("a share such as 10% or 0.1")


def _hour(text: str) -> str:
    if text.lower() == "off" or re.fullmatch(r"1?\d|2[0-3]", text):
        return text.lower()
    raise ValueError("an hour of the day (UTC) from 0 to 23, or off")


def _people(text: str) -> tuple[str, ...]:
    ids = tuple(_MENTION.sub(r"\1", text).replace(",", " ").split())
    if not ids or not all(_ID.match(entry) for entry in ids):
        raise ValueError("ids of people such as U0123ABCD, with commas between them")
    return ids


_DEFAULTS: Mapping[Measure, tuple[float, float, float]] = {
    "requests_per_minute": (1_500, 3_000, 6_000),
    "requests_per_hour": (10_000, 20_000, 60_000),
    "tokens_per_day": (20_000_000, 50_000_000, 200_000_000),
    "usd_per_day": (25.0, 50.0, 100.0),
    "at_once": (100, 200, 500),
}
"""For a person, a channel, the workspace. They stop a program that runs wild and cap the bill; that
one person's many requests do not slow the others is the resource pool's work, not theirs."""

_WORDS: Mapping[Measure, str] = {
    "requests_per_minute": "requests a minute",
    "requests_per_hour": "requests an hour",
    "tokens_per_day": "tokens read and written a day (UTC)",
    "usd_per_day": "dollars a day (UTC), where prices are known",
    "at_once": "requests answered at the same time",
}


BUDGETS: Mapping[Measure, Callable[[str], Any]] = {
    "tokens_per_day": _count, "usd_per_day": _money,
}  # fmt: skip
"""What may be spent in a day, by an agent and a workflow as well."""


def _limits() -> dict[str, Known]:
    found = {}
    for measure in MEASURES:
        for scope, default in zip(SCOPES, _DEFAULTS[measure], strict=True):
            whose = "of the whole workspace" if scope == "workspace" else f"of one {scope}"
            read = _money if measure == "usd_per_day" else _count
            ids = {"person": "UWB", "channel": "CG", "workspace": ""}[scope]
            known = Known(f"{_WORDS[measure]}, {whose}", default, read, ids)
            found[f"{scope}_{measure}"] = known
    for named in (_AGENT, _WORKFLOW):
        for measure, reads in BUDGETS.items():
            about = f"{_WORDS[measure]}, of one {named}"
            found[f"{named}_{measure}"] = Known(about, None, reads, named)
    return found


NAMES: Mapping[str, Known] = {
    "approvers": Known("who may decide, besides nobody else", (), _people),
    "speak": Known(
        "when I answer: mentions only, threads I am in as well, or everything",
        "threads", _choice("mentions", "threads", "everything"), "CG",
    ),
    "proactive_per_day": Known("posts a day in a channel that nobody asked for", 3, _count, "CG"),
    "improvement_posts_per_day": Known(
        "cards and summaries of what I learn, a day in the improvements channel", 10, _count
    ),
    "allow_external": Known("answer in channels shared with others", False, _switch, "CGD"),
    "allow_guests": Known("answer guests of the workspace", False, _switch, "UW"),
    "allow_bots": Known("answer other bots that mention me", False, _switch, "UWB"),
    LEARNING: Known("learn from what is asked and how answers are taken", True, _switch, "CG"),
    "improvement": Known(
        "improving myself: on, paused (what is live stays), or off (as I was shipped)",
        "on", _choice("on", "paused", "off"),
    ),
    "mode": Known(
        "an agent's proven low-risk changes: automatic, ask first, or paused (nothing changes)",
        "ask", _choice("automatic", "ask", "paused"), _AGENT,
    ),
    "proposals_per_day": Known("proposals taken up a day", 20, _count),
    "promotions_per_week": Known(
        "changes of one agent that go live by themselves in seven days", 3, _count, _AGENT
    ),
    "dearer_allowed": Known(
        "how much more an answer may cost after a change that goes live by itself", 0.0, _share
    ),
    "learning_share": Known(
        "what learning may spend, as a share of what the answers of seven days cost", 0.1, _share
    ),
    "learning_tokens_per_day": Known(
        "tokens that learning may use a day (UTC), whatever the answers use", 1_000_000, _count
    ),
    "learning_seconds_per_day": Known(
        "seconds of a model's time that learning may use a day (UTC)", 14_400, _count
    ),
    "judge_floor": Known(
        "how often a judging model must agree with people before its word counts", 0.7, _share
    ),
    "goals": Known(
        "make plans of requests that need several pieces of work", "on", _choice("on", "off")
    ),
    "goal_start": Known(
        "plans that start by themselves: ask (none), small (few steps, cheap, nothing changed by "
        "them outside), or always",
        "small", _choice("ask", "small", "always"),
    ),
    "goal_usd": Known("dollars that one goal may use before it asks", 1.0, _money),
    "goal_tokens": Known("tokens that one goal may use before it asks", 200_000, _count),
    "goal_minutes": Known("minutes of work that one goal may use before it asks", 60, _count),
    "goal_usd_per_day": Known(
        "dollars that all goals of one person may use a day (UTC)", 10.0, _money, "UW"
    ),
    "goal_tokens_per_day": Known(
        "tokens that all goals of one person may use a day (UTC)", 5_000_000, _count, "UW"
    ),
    "summary_hour": Known("when the morning summary is posted (UTC), or off", "8", _hour),
    **_limits(),
}  # fmt: skip


class PolicyStore(Protocol):
    """The rows (database.policy_rows)."""

    def latest(self) -> list[PolicyChange]:
        """The newest row of each key."""

    def history(self) -> list[PolicyChange]:
        """Every row, oldest first."""

    async def add(self, key: str, value: str | None, set_by: str) -> PolicyChange:
        """Append a row."""

    def changes(self) -> int:
        """A number that grows with every row."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A policy as it counts now; `set_by` is empty where it is the default."""

    key: str
    value: str
    default: str
    about: str
    set_by: str = ""
    set_at: float | None = None


class Policy:
    """Reads are in memory; a change counts here at once, in other processes within a second."""

    def __init__(self, rows: PolicyStore, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._rows = rows
        self._timer = timer
        self._seen = -1
        self._next_look = 0.0
        self._values: dict[str, Any] = {}

    def speaking(self, channel_id: str) -> Speaking:
        """When to speak in a channel."""
        found: Speaking = self._value("speak", channel_id)
        return found

    def allows(self, name: Literal["external", "guests", "bots"], of: str) -> bool:
        """Whether an approver has let in this channel, this guest, this bot, or all of them."""
        return bool(self._value(f"allow_{name}", of))

    def learns(self, channel_id: str) -> bool:
        """Whether anything is learned from what is said in a channel."""
        return bool(self._value(LEARNING, channel_id))

    def unlearned(self) -> frozenset[str]:
        """The keys by which it was decided that nothing is."""
        self._look()
        keys = (key for key, value in self._values.items() if value is False)
        return frozenset(key for key in keys if key.partition(".")[0] == LEARNING)

    def proactive_per_day(self, channel_id: str) -> int | None:
        """How many posts a day nobody need have asked for; None is any number."""
        found: int | None = self._value("proactive_per_day", channel_id)
        return found

    def improvement_posts_per_day(self) -> int | None:
        """How many cards and summaries of learning a day; None is any number."""
        found: int | None = self._value("improvement_posts_per_day", "")
        return found

    def limit(self, scope: Scope, measure: Measure, of: str = "") -> float | None:
        """A limit; None is no limit."""
        found: float | None = self._value(f"{scope}_{measure}", of)
        return found

    def improvement(self) -> Improving:
        """Whether I improve myself."""
        found: Improving = self._value("improvement", "")
        return found

    def mode(self, agent: str) -> Mode:
        """Who decides about an agent's proven changes."""
        found: Mode = self._value("mode", agent)
        return found

    def promotions_per_week(self, agent: str) -> int | None:
        """How many changes of an agent may go live by themselves; None is any number."""
        found: int | None = self._value("promotions_per_week", agent)
        return found

    def count(
        self,
        name: Literal["proposals_per_day", "learning_tokens_per_day", "learning_seconds_per_day"],
    ) -> int | None:
        """One of learning's limits for the whole workspace; None is no limit."""
        found: int | None = self._value(name, "")
        return found

    def share(self, name: Literal["learning_share", "judge_floor", "dearer_allowed"]) -> float:
        """One of learning's shares, 0..1."""
        found: float = self._value(name, "")
        return found

    def goals(self) -> bool:
        """Whether requests are made into goals."""
        return bool(self._value("goals", "") == "on")

    def goal_start(self) -> GoalStart:
        """Which plans start by themselves."""
        found: GoalStart = self._value("goal_start", "")
        return found

    def goal_limit(
        self,
        name: Literal[
            "goal_usd", "goal_tokens", "goal_minutes", "goal_usd_per_day", "goal_tokens_per_day"
        ],
        of: str = "",
    ) -> float | None:
        """What a goal, or a person's goals in a day, may use; None is no limit."""
        found: float | None = self._value(name, of)
        return found

    def summary_hour(self) -> int | None:
        """The hour (UTC) of the morning summary; None where there is none."""
        hour = self._value("summary_hour", "")
        return None if hour == "off" else int(hour)

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who was named as an approver; nobody where that was never decided."""
        found: tuple[str, ...] = self._value("approvers", "")
        return found

    async def set(self, key: str, value: str, set_by: str) -> Setting:
        """Decide; the value `default` takes a decision back.

        Raises:
            UnknownName: there is no such policy.
            InputError: the value does not fit it. StoreError: it could not be kept.
        """
        key, value = key.strip(), " ".join(value.split())
        await self._rows.add(key, self.valid(key, value), set_by)
        self.reload()
        return self.setting(key)

    def valid(self, key: str, value: str) -> str | None:
        """The value as it is kept; None for `default`. Raises UnknownName and InputError."""
        known = _known(key)
        if value.lower() == "default":
            return None
        try:
            return _shown(known.read(value))
        except ValueError as error:
            raise InputError(f"{key} must be {error}. Nothing was changed.") from None

    def reload(self) -> None:
        """Count what was decided by another way than `set` at once."""
        self._load()

    def setting(self, key: str) -> Setting:
        """One policy as it counts now. Raises UnknownName."""
        known = _known(key)
        for change in self._rows.latest():
            if change.key == key and change.value is not None:
                return _setting(change, known)
        name, _, of = key.partition(".")
        return Setting(key, _shown(self._value(name, of)), _shown(known.default), known.about)

    def settings(self) -> list[Setting]:
        """Every policy, and every decision for one place or person, as they count now."""
        decided = {c.key: c for c in self._rows.latest() if c.value is not None}
        keys = [*NAMES, *(key for key in decided if key not in NAMES and _is_known(key))]
        return [
            _setting(decided[key], _known(key))
            if key in decided
            else Setting(key, _shown(NAMES[key].default), _shown(NAMES[key].default),
                         NAMES[key].about)
            for key in keys
        ]  # fmt: skip

    def history(self) -> Sequence[PolicyChange]:
        """Every decision, oldest first."""
        return self._rows.history()

    def _value(self, name: str, of: str) -> Any:
        self._look()
        values = self._values
        if of and (own := values.get(f"{name}.{of}", values)) is not values:
            return own
        return values[name] if name in values else NAMES[name].default

    def _look(self) -> None:
        now = self._timer()
        if now >= self._next_look:
            self._next_look = now + RELOAD_SECONDS
            if self._rows.changes() != self._seen:
                self._load()

    def _load(self) -> None:
        self._seen = self._rows.changes()
        values: dict[str, Any] = {}
        for change in self._rows.latest():
            if change.value is None:
                continue
            try:
                values[change.key] = _known(change.key).read(change.value)
            except (ValueError, InputError):
                # written by newer code, or it named somebody who is forgotten
                log.warning("policy_not_understood", key=change.key)
        self._values = values


def _known(key: str) -> Known:
    name, dot, of = key.partition(".")
    known = NAMES.get(name)
    if known is None:
        raise UnknownName(f"There is no policy {name}. There are: {', '.join(NAMES)}.")
    if dot and not _names_one(known, of):
        raise InputError(_names_none(key, name, known))
    return known


def _names_one(known: Known, of: str) -> bool:
    if known.ids in (_AGENT, _WORKFLOW):
        return bool(_AGENT_NAME.match(of))
    return bool(known.ids and _ID.match(of) and of[0] in known.ids)


def _names_none(key: str, name: str, known: Known) -> str:
    if not known.ids:
        return f"{name} holds for the whole workspace."
    if known.ids == _AGENT:
        return f"{key} does not name an agent: write {name}.AGENT, such as {name}.coder."
    if known.ids == _WORKFLOW:
        return f"{key} does not name a workflow: write {name}.NAME, such as {name}.weekly-report."
    return (
        f"{key} does not name a {_kind(known.ids)}: write {name}.ID, such as {name}."
        f"{known.ids[0]}0123ABCD."
    )


def _is_known(key: str) -> bool:
    try:
        _known(key)
    except InputError:
        return False
    return True


def _kind(ids: str) -> str:
    return "channel" if "C" in ids else "person"


def _setting(change: PolicyChange, known: Known) -> Setting:
    default = _shown(known.default)
    return Setting(
        change.key, change.value or "", default, known.about, change.set_by, change.set_at
    )


def _shown(value: Any) -> str:
    if value is None:
        return "unlimited"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
