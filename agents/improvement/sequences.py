"""Which sequences of things repeat: closed sequential patterns by prefix projection.

The method is PrefixSpan's (J. Pei et al., "PrefixSpan: Mining Sequential Patterns Efficiently by
Prefix-Projected Pattern Growth", ICDE 2001), with a limit on what may lie between two items. It is
written here because the library of that name is published as source only, and set-up runs no code
of what it installs.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

Items = tuple[str, ...]

MAX_BETWEEN = 2
"""Other items that may lie between two of a pattern; more, and they hardly belong together."""
LONGEST = 6
_FIRST_CODE = 0x10000
"""Behind all characters that mean something in a regular expression."""
_MOST = 1000
"""Patterns beyond which only those with twice the support are looked for."""


def folded(items: Sequence[str]) -> Items:
    """The items without those that repeat the one before: seven look-ups are one thing done."""
    return tuple(item for at, item in enumerate(items) if at == 0 or item != items[at - 1])


def closed_patterns(sequences: Sequence[Items], least: int) -> dict[Items, int]:
    """Patterns of two or more items -> in how many sequences they occur, from `least` on.

    No item follows itself in a pattern: what repeats is one thing done several times.
    A pattern that occurs only as part of a longer one is left out. Where there are too many, only
    those with more support are found.
    """
    times = Counter(sequences)  # the same is done again and again: each is looked at once
    found = _grown(times, least)
    while found is None:
        least *= 2
        found = _grown(times, least)
    return _closed(found)


class Occurrences:
    """In which of some sequences a pattern occurs; for many patterns, each looked for at once."""

    def __init__(self, sequences: Sequence[Items]) -> None:
        codes: dict[str, str] = {}
        for sequence in sequences:
            for item in sequence:
                codes.setdefault(item, chr(_FIRST_CODE + len(codes)))
        self._codes = codes
        # One character an item, so that a regular expression can look: twenty times as fast.
        self._coded = ["".join(codes[item] for item in sequence) for sequence in sequences]

    def of(self, pattern: Items) -> list[int]:
        """Where its items follow each other closely enough: numbers of sequences."""
        if any(item not in self._codes for item in pattern):
            return []
        between = f".{{0,{MAX_BETWEEN}}}"
        look = re.compile(between.join(self._codes[item] for item in pattern), re.DOTALL).search
        return [number for number, coded in enumerate(self._coded) if look(coded)]


def occurs(pattern: Items, sequence: Items) -> bool:
    """Whether the pattern's items follow each other in the sequence, closely enough."""
    return bool(Occurrences([sequence]).of(pattern))


def _grown(times: Mapping[Items, int], least: int) -> dict[Items, int] | None:
    """Every frequent pattern, or None when there are more than anybody wants."""
    sequences, weights = list(times), list(times.values())

    def support(ends: Iterable[int]) -> int:
        return sum(weights[number] for number in ends)

    first: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, sequence in enumerate(sequences):
        for at, item in enumerate(sequence):
            first[item][number].append(at)
    found: dict[Items, int] = {}
    waiting: list[tuple[Items, Mapping[int, Sequence[int]]]] = [
        ((item,), ends) for item, ends in first.items() if support(ends) >= least
    ]
    while waiting:
        prefix, ends = waiting.pop()
        if len(prefix) > 1:
            found[prefix] = support(ends)
        if len(found) > _MOST:
            return None
        if len(prefix) < LONGEST:
            grown = _extended(sequences, ends)
            waiting += [
                ((*prefix, item), reached)
                for item, reached in grown.items()
                if item != prefix[-1] and support(reached) >= least
            ]
    return found


def _extended(
    sequences: Sequence[Items], ends: Mapping[int, Sequence[int]]
) -> dict[str, dict[int, list[int]]]:
    """Item -> sequence -> where a pattern that ended at `ends` may end with that item behind it."""
    grown: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for number, places in ends.items():
        sequence = sequences[number]
        last, beyond = len(sequence), 0
        for end in places:  # rising: what one place reaches is not looked at again for the next
            start, beyond = max(end + 1, beyond), min(end + 2 + MAX_BETWEEN, last)
            for at in range(start, beyond):
                grown[sequence[at]].setdefault(number, []).append(at)
    return grown


def _closed(found: Mapping[Items, int]) -> dict[Items, int]:
    """Without the patterns that a longer one of the same support says already."""
    covered = {
        shorter
        for pattern, support in found.items()
        for shorter in (pattern[:at] + pattern[at + 1 :] for at in range(len(pattern)))
        if found.get(shorter) == support
    }
    return {pattern: support for pattern, support in found.items() if pattern not in covered}
