"""Names that people would give: the words that a kind of requests has and others have not."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

_WORD = re.compile(r"[^\W\d_]+")
_SHORTEST, _LONGEST = 3, 20
_LEAST_SHARE = 0.2
_PAIR = 1.3
"""Two words that stand together say more than one of them."""
_SECOND = 0.6
"""A second word is taken where it tells the requests apart nearly as well as the first."""

FILLER = frozenset(
    _WORD.findall(
        """a about above all also an and any are as at be been being below best both but by can
        could did do does each else every few following follows for from get give given go good
        got had has have hello help her here hey hi him his how i if in into is it its just know
        let like make many may me might mine more most much must my need new no not now of off
        ok on one only or other our out over please put said same say see she should show so
        some such sure take tell than thank thanks that the their them then there these they
        thing things this those to too try two up us use used using very want was way we were
        what when where which while who why will with would yes you your"""
    )
)
"""Words that say nothing of what somebody wants to know."""

INSTRUCTING = frozenset(
    _WORD.findall(
        """add answer answers appropriate ask asked assign brief briefly calculate change check
        choice choose class classify complete compute consider continue convert correct create
        decide describe detailed determine do draft exactly example examples explain fill find
        fix follow form format generate here identify implement improve input kind label labels
        list message name next number option options output pick point points possible problem
        provide question questions read reply request requests respond response result results
        return rewrite right select sentence sentences short shorten should simple single
        solution solve sort start step steps suggest summarise summarize task tasks text
        translate type update value whether word words write writing wrong"""
    )
)
"""Words that say what is to be done with a request, and not what it is about."""


def subject(requests: Sequence[str], others: Iterable[str] = ()) -> tuple[str, ...]:
    """One to three words for what these requests are about, as compared with others.

    () where no word is in enough of them. In small letters a-z, fit for a name.
    """
    own, beside = _shares(requests), _shares(list(others))
    least = max(_LEAST_SHARE, 2 / max(1, len(requests)))
    scored = [
        (share - beside.get(words, 0.0), words) for words, share in own.items() if share >= least
    ]
    ranked = sorted(
        ((score * (_PAIR if len(words) > 1 else 1.0), words) for score, words in scored),
        key=lambda one: (-one[0], one[1]),
    )
    if not ranked or ranked[0][0] <= 0:
        return ()
    best, chosen = ranked[0]
    second = next((w for s, w in ranked if s >= _SECOND * best and not {*w} & {*chosen}), ())
    usual = Counter(word for request in requests for word in content(request) if word)
    return tuple(_as_usual(stem, usual) for stem in (*chosen, *second)[:3])


def is_telling(name: str) -> bool:
    """Whether a name with hyphens says what something is about, and no instruction."""
    words = name.split("-")
    return bool(words) and not any(word in INSTRUCTING | FILLER for word in words)


def doing(text: str) -> list[str]:
    """The words of a text that say what is to be done with what, in their order."""
    return [word for word in _words(text) if word not in FILLER and _fits(word)]


def content(text: str) -> list[str | None]:
    """The words that say what a text is about, in their order; None where others stand."""
    return [word if _says(word) else None for word in _words(text)]


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return _WORD.findall(plain)


def _fits(word: str) -> bool:
    return _SHORTEST <= len(word) <= _LONGEST


def _says(word: str) -> bool:
    return _fits(word) and word not in FILLER and word not in INSTRUCTING


def _stem(word: str) -> str:
    """The same for one and for many of a thing, mostly."""
    return word[:-1] if len(word) > _SHORTEST and word[-1] == "s" and word[-2] != "s" else word


def _as_usual(stem: str, usual: Counter[str]) -> str:
    forms = [word for word in usual if _stem(word) == stem]
    return max(forms, key=lambda word: (usual[word], word))


def _shares(requests: Collection[str]) -> dict[tuple[str, ...], float]:
    """By stem, and by pair of those that stand together: the share of requests that have it."""
    counts: Counter[tuple[str, ...]] = Counter()
    for request in requests:
        words = [word and _stem(word) for word in content(request)]
        singles = {(word,) for word in words if word}
        pairs = {(a, b) for a, b in pairwise(words) if a and b and a != b}
        counts.update(singles | pairs)
    return {words: n / len(requests) for words, n in counts.items()}
