"""Which sequences of things repeat: closed sequential patterns, grown item by item.

What grows, and when it stops, is PrefixSpan's idea (J. Pei et al., "PrefixSpan: Mining Sequential
Patterns Efficiently by Prefix-Projected Pattern Growth", ICDE 2001), with a limit on what may lie
between two items; where a pattern may end is kept as bits, as in SPAM (J. Ayres et al., "Sequential
Pattern Mining Using a Bitmap Representation", KDD 2002). It is written here because the library
prefixspan is published as source only, and set-up runs no code of what it installs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

Items = tuple[str, ...]

MAX_BETWEEN = 2
"""Other items that may lie between two of a pattern; more, and they hardly belong together."""
LONGEST = 6
_MOST = 1000
"""Patterns beyond which only those with twice the support are looked for."""


def folded(items: Sequence[str]) -> Items:
    """The items without those that repeat the one before: seven look-ups are one thing done."""
    return tuple(item for at, item in enumerate(items) if at == 0 or item != items[at - 1])


class Occurrences:
    """Where patterns occur in some sequences; for many patterns, each looked for in all at once.

    Places are the bits of one number: as many for each sequence as the longest has items, and a few
    that are never set, so that what goes on from one does not reach into the next.
    """

    def __init__(self, sequences: Sequence[Items]) -> None:
        self._width = max(map(len, sequences), default=0) + MAX_BETWEEN + 2
        self._size = (self._width * len(sequences) + 7) // 8
        self._tops = self._number([(n + 1) * self._width - 1 for n in range(len(sequences))])
        self._carry = self._tops - (self._tops >> self._width - 1)
        places: dict[str, list[int]] = {}
        for number, sequence in enumerate(sequences):
            for at, item in enumerate(sequence, number * self._width):
                places.setdefault(item, []).append(at)
        self._places = {item: self._number(bits) for item, bits in places.items()}

    def of(self, pattern: Items) -> list[int]:
        """Where its items follow each other closely enough: numbers of sequences."""
        ends = self.ends(pattern[0])
        for item in pattern[1:]:
            ends = self.reached(ends) & self.ends(item)
        tops = format(self._hit(ends), "b")[::-1]
        found, at = [], tops.find("1")
        while at >= 0:
            found.append(at // self._width)
            at = tops.find("1", at + 1)
        return found

    def ends(self, item: str) -> int:
        """Where an item is."""
        return self._places.get(item, 0)

    def reached(self, ends: int) -> int:
        """Where the next item may be, behind such places."""
        found = 0
        for _ in range(MAX_BETWEEN + 1):
            ends <<= 1
            found |= ends
        return found

    def support(self, ends: int) -> int:
        """In how many sequences such places are."""
        return self._hit(ends).bit_count()

    def _hit(self, ends: int) -> int:
        """The top bit of each sequence with a place: what is added carries over from any bit."""
        return (ends + self._carry) & self._tops

    def _number(self, bits: Sequence[int]) -> int:
        found = bytearray(self._size)
        for bit in bits:
            found[bit >> 3] |= 1 << (bit & 7)
        return int.from_bytes(found, "little")


def occurs(pattern: Items, sequence: Items) -> bool:
    """Whether the pattern's items follow each other in the sequence, closely enough."""
    return bool(Occurrences([sequence]).of(pattern))


def closed_patterns(sequences: Sequence[Items], least: int) -> dict[Items, int]:
    """Patterns of two or more items -> in how many sequences they occur, from `least` on.

    No item follows itself in a pattern: what repeats is one thing done several times.
    A pattern that occurs only as part of a longer one is left out. Where there are too many, only
    those with more support are found.
    """
    seen, followers = Occurrences(sequences), _followers(sequences, least)
    found: dict[Items, int] = {}
    waiting: list[tuple[Items, int]] = [((item,), seen.ends(item)) for item in followers]
    while waiting:
        prefix, ends = waiting.pop()
        reached = seen.reached(ends)
        for item in followers.get(prefix[-1], ()):
            pattern, there = (*prefix, item), reached & seen.ends(item)
            if (support := seen.support(there)) >= least:
                found[pattern] = support
                if len(pattern) < LONGEST:
                    waiting.append((pattern, there))
        while len(found) > _MOST:
            least *= 2
            found = {known: support for known, support in found.items() if support >= least}
            waiting = [one for one in waiting if len(one[0]) == 1 or one[0] in found]
    return _closed(found)


def _followers(sequences: Sequence[Items], least: int) -> dict[str, list[str]]:
    """Item -> other items that often enough come closely behind it; nothing else can grow."""
    times: Counter[tuple[str, str]] = Counter()
    for sequence in sequences:
        times.update({
            (item, after)
            for at, item in enumerate(sequence)
            for after in sequence[at + 1 : at + 2 + MAX_BETWEEN]
            if after != item
        })  # fmt: skip
    found: dict[str, list[str]] = {}
    for (item, after), number in times.items():
        if number >= least:
            found.setdefault(item, []).append(after)
    return found


def _closed(found: Mapping[Items, int]) -> dict[Items, int]:
    """Without the patterns that a longer one of the same support says already."""
    covered = {
        shorter
        for pattern, support in found.items()
        for shorter in (pattern[:at] + pattern[at + 1 :] for at in range(len(pattern)))
        if found.get(shorter) == support
    }
    return {pattern: support for pattern, support in found.items() if pattern not in covered}
