"""What keeps repeating: patterns with their support, spread over people and success.

What is remembered is bounded: the latest sequences (item names and ids, no texts) and at most
`MOST` patterns; a pattern's counts go on for as long as it is remembered.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from agents.improvement.intervals import wilson
from agents.improvement.sequences import Items, Occurrences, closed_patterns, occurs
from database.learning import Strength
from database.records import PUBLIC

Kind = Literal["steps", "requests"]

MOST = 200
_RECENT = 300
_LEAST = 3
_PEOPLE = 60
_EXAMPLES, _MOST_RUNS = 5, 20
"""Occurrences whose runs are named, and so many runs of them: a sitting may have dozens."""
_AT_MOST = 12
"""Patterns that people are told of: more are listed nowhere, and would be read by nobody."""

LEVELS: Sequence[tuple[Strength, int, int, float]] = (
    ("very strong", 20, 5, 0.7),
    ("strong", 10, 3, 0.5),
    ("moderate", 5, 2, 0.0),
)
"""Strength, and the least support, number of people and lower bound of success for it; whatever
repeats at all is weak. The bound is Wilson's at 95%, so few or mixed results keep a pattern low."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One sequence that was seen: of steps in a run, or of requests of a person.

    `success` is None where nobody judged it; `seconds` what it took, 0 where unknown. `end` is the
    run that people judge in its place: the answer of a plan.
    """

    items: Items
    runs: tuple[str, ...]
    person: str | None
    audience: str
    success: bool | None = None
    seconds: float = 0.0
    end: str = ""

    def judged(self, well: bool) -> "Occurrence":
        """After a later word: it replaces an earlier one, but of several runs each must go well."""
        alone = len(self.runs) == 1 or bool(self.end)
        return replace(self, success=well and (alone or self.success is not False))


@dataclass(slots=True)
class Pattern:
    """Items that follow each other, with what is known of all their occurrences.

    `people` are digests, `runs` ids of the latest occurrences. `private` is the one private
    audience that it was seen in; `mixed` where there were several.
    """

    kind: Kind
    items: list[str]
    n: int = 0
    judged: int = 0
    good: int = 0
    seconds: float = 0.0
    people: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    private: str | None = None
    mixed: bool = False
    told: list[Any] = field(default_factory=list)
    """The strength and the support when people were last told."""

    @property
    def success(self) -> tuple[float, float]:
        """The interval of the share that went well."""
        return wilson(self.good, self.judged)

    @property
    def strength(self) -> Strength:
        """How much there is to it, by LEVELS."""
        low = self.success[0]
        for strength, support, people, least in LEVELS:
            if self.n >= support and len(self.people) >= people and low >= least:
                return strength
        return "weak"

    @property
    def audience(self) -> str:
        """Who may see what it rests on; where it is `mixed`, everybody its counts."""
        return PUBLIC if self.mixed or self.private is None else self.private

    def grown(self) -> bool:
        """Whether there is more to tell than the last time: another strength, or twice as often."""
        return not self.told or self.told[0] != self.strength or self.n >= 2 * self.told[1]

    def add(self, seen: Occurrence) -> None:
        """One more occurrence."""
        self.n += 1
        self.seconds += seen.seconds
        if seen.success is not None:
            self.judged += 1
            self.good += seen.success
        if seen.person and len(self.people) < _PEOPLE:
            digest = hashlib.blake2b(seen.person.encode(), digest_size=4).hexdigest()
            if digest not in self.people:
                self.people.append(digest)
        most = min(_EXAMPLES * max(1, len(seen.runs)), _MOST_RUNS)
        self.runs = [*self.runs, *seen.runs][-most:]
        if seen.audience != PUBLIC:
            self.mixed = self.mixed or self.private not in (None, seen.audience)
            self.private = seen.audience


_FIELDS = tuple(one.name for one in fields(Pattern))


class Patterns:
    """Every pattern of one kind, over all windows."""

    def __init__(self, kind: Kind, state: Mapping[str, Any] | None) -> None:
        state = state or {}
        self._kind: Kind = kind
        self._recent = [_occurrence(row) for row in state.get("recent", ())]
        self.known = {tuple(row["items"]): Pattern(**row) for row in state.get("patterns", ())}
        self.judged, self.good = state.get("all", (0, 0))

    def take_in(self, seen: Iterable[Occurrence]) -> None:
        """Count new sequences, and find what repeats among them and the latest before them."""
        new = [one for one in seen if len(set(one.items)) > 1]
        if not new:
            return
        for one in new:
            self.judged += one.success is not None
            self.good += bool(one.success)
        self._count(self.known, new)
        together = [*self._recent, *new]
        # In a large window what occurs three times is chance.
        least = max(_LEAST, len(together) // 100)
        found = closed_patterns([one.items for one in together], least)
        most = sorted(found, key=lambda items: (-found[items] * len(items), items))[:MOST]
        found_now = {i: Pattern(self._kind, list(i)) for i in most if i not in self.known}
        self._count(found_now, together)
        self.known |= found_now
        self._recent = together[-_RECENT:]
        self._drop()

    def judge(self, words: Mapping[str, bool]) -> None:
        """Count what was said since of runs among the latest sequences: how they went, by run."""
        if not words:
            return
        for at, one in enumerate(self._recent):
            said = [words[run] for run in (*one.runs, one.end) if run in words]
            if not said:
                continue
            now = one.judged(all(said))
            self._recent[at] = now
            more = (one.success is None, int(bool(now.success)) - int(bool(one.success)))
            self.judged, self.good = self.judged + more[0], self.good + more[1]
            for items, pattern in self.known.items():
                if set(items) <= set(one.items) and occurs(items, one.items):
                    pattern.judged, pattern.good = pattern.judged + more[0], pattern.good + more[1]

    def _count(self, patterns: Mapping[Items, Pattern], seen: Sequence[Occurrence]) -> None:
        occurrences = Occurrences([one.items for one in seen])
        for items, pattern in patterns.items():
            for number in occurrences.of(items):
                pattern.add(seen[number])

    def worth_telling(self) -> list[Pattern]:
        """The strongest that have grown, without those that say nearly the same as a stronger one.

        They count as told from now on.
        """
        strengths = [strength for strength, *_ in LEVELS]
        order = {strength: at for at, strength in enumerate(strengths)}
        chosen: list[Pattern] = []
        for pattern in sorted(
            self.known.values(),
            key=lambda one: (order.get(one.strength, len(order)), -one.n * (len(one.items) - 1)),
        ):
            if len(chosen) == _AT_MOST:
                break
            # Of those in several private places only counts are told: one of them says it.
            if any(_alike(pattern, o) or (pattern.mixed and o.mixed) for o in chosen):
                continue
            chosen.append(pattern)
        grown = [pattern for pattern in chosen if pattern.grown()]
        for pattern in grown:
            pattern.told = [pattern.strength, pattern.n]
        return grown

    def as_json(self) -> dict[str, Any]:
        """What to remember."""
        return {
            "all": [self.judged, self.good],
            "recent": [_row(one) for one in self._recent],
            "patterns": [_kept(pattern) for pattern in self.known.values()],
        }

    def _drop(self) -> None:
        """Without what longer patterns say as well, and the least of what is too much."""
        as_often: dict[int, list[Items]] = {}
        for items, pattern in self.known.items():
            as_often.setdefault(pattern.n, []).append(items)
        whole = {
            items: pattern
            for items, pattern in self.known.items()
            if not any(
                len(items) < len(longer) and _within(items, longer)
                for longer in as_often[pattern.n]
            )
        }
        most = sorted(whole.items(), key=lambda entry: (-entry[1].n * len(entry[0]), entry[0]))
        self.known = dict(most[:MOST])


def _within(items: Items, longer: Items) -> bool:
    rest = iter(longer)
    return all(item in rest for item in items)


def _alike(one: Pattern, other: Pattern) -> bool:
    """Whether one is part of the other and they are seen about equally often."""
    shorter, longer = sorted((tuple(one.items), tuple(other.items)), key=len)
    return _within(shorter, longer) and 2 * min(one.n, other.n) >= max(one.n, other.n)


# asdict would copy each text: a fifth of a window's time


def _row(one: Occurrence) -> list[Any]:
    rest = (one.person, one.audience, one.success, one.seconds, one.end)
    return [list(one.items), list(one.runs), *rest]


def _kept(pattern: Pattern) -> dict[str, Any]:
    values = {name: getattr(pattern, name) for name in _FIELDS}
    return {name: list(v) if isinstance(v, list) else v for name, v in values.items()}


def _occurrence(row: Sequence[Any]) -> Occurrence:
    items, runs, *rest = row
    return Occurrence(tuple(items), tuple(runs), *rest)
