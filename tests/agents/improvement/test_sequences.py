"""Sequential patterns: what is found occurs as often as it says, and nothing frequent is missed."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from agents.improvement.intervals import wilson
from agents.improvement.sequences import LONGEST, Occurrences, closed_patterns, folded, occurs

SEQUENCES = st.lists(st.lists(st.sampled_from("abc"), max_size=7).map(folded), max_size=12)


def test_repetitions_are_one_item() -> None:
    assert folded(["look", "look", "book", "look"]) == ("look", "book", "look")


def test_items_too_far_apart_do_not_belong_together() -> None:
    assert occurs(("a", "b"), tuple("axxb"))
    assert not occurs(("a", "b"), tuple("axxxb"))
    assert not occurs(("b", "a"), tuple("axxb"))


@given(SEQUENCES)
def test_support_is_the_number_of_sequences_in_which_it_occurs(
    sequences: list[tuple[str, ...]],
) -> None:
    for pattern, support in closed_patterns(sequences, 2).items():
        assert support == sum(occurs(pattern, one) for one in sequences) >= 2
        assert 2 <= len(pattern) <= LONGEST
        assert folded(pattern) == pattern


@given(SEQUENCES)
def test_whatever_is_frequent_is_part_of_what_is_found(sequences: list[tuple[str, ...]]) -> None:
    found = closed_patterns(sequences, 2)
    for pattern in (p for n in (2, 3) for p in product("abc", repeat=n) if folded(p) == p):
        support = sum(occurs(pattern, one) for one in sequences)
        if support >= 2:
            assert any(_part_of(pattern, other) and n >= support for other, n in found.items())


def _part_of(pattern: tuple[str, ...], longer: tuple[str, ...]) -> bool:
    rest = iter(longer)
    return all(item in rest for item in pattern)


@given(SEQUENCES)
def test_a_pattern_is_found_where_it_is_and_nowhere_between(
    sequences: list[tuple[str, ...]],
) -> None:
    seen = Occurrences(sequences)
    for pattern in (p for n in (1, 2, 3) for p in product("abcx", repeat=n)):
        assert seen.of(pattern) == [n for n, one in enumerate(sequences) if _in(pattern, one)]


def _in(pattern: tuple[str, ...], sequence: tuple[str, ...]) -> bool:
    ends = {at for at, item in enumerate(sequence) if item == pattern[0]}
    for item in pattern[1:]:
        near = {end + more for end in ends for more in (1, 2, 3)}
        ends = {at for at, found in enumerate(sequence) if found == item and at in near}
    return bool(ends)


def test_a_part_that_never_stands_alone_is_left_out() -> None:
    found = closed_patterns([tuple("abc"), tuple("abc"), tuple("xbc")], 2)
    assert found == {("a", "b", "c"): 2, ("b", "c"): 3}


def test_too_many_patterns_are_cut_to_the_frequent_ones() -> None:
    noise = [tuple(f"{row}-{at}" for at in range(60)) for row in range(20)]
    found = closed_patterns([*noise, *noise, *[("look", "book")] * 8], 2)
    assert found == {("look", "book"): 8}


def test_wilsons_interval_agrees_with_its_published_example() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 and 0 of 20.
    assert [round(bound, 4) for bound in wilson(81, 263)] == [0.2553, 0.3662]
    assert [round(bound, 4) for bound in wilson(0, 20)] == [0.0, 0.1611]
    assert wilson(0, 0) == (0.0, 1.0)
