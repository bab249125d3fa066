"""What counts as a plain yes or no, where something may be changed for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goals import plain_words
from goals.plain_words import agrees, was_done

_KNOWN = {
    word
    for name in ("_AGREES", "_DECLINES", "_WAS_DONE", "_WAS_NOT_DONE")
    for saying in getattr(plain_words, name)
    for word in saying.split()
} | set(plain_words._AT_THE_END)


@pytest.mark.parametrize(
    ("words", "means"),
    [("Yes, do it", True), ("ok", True), ("OK!", True), (" *Yes*, please. ", True),
     ("Sure, go ahead", True), ("yes, send it", True), ("👍", True), (":+1:", True),
     ("No.", False), ("don't", False), ("No, don’t", False), ("please do not", False),
     ("okay no, don't", None), ("ok stop please, don't send", None), ("ok wait", None),
     ("Yes, but only to Anna", None), ("Sure, but not before Monday", None), ("yes?", None),
     ("go on without it", None), ("please", None), ("yesterday", None), ("notably", None),
     ("", None), ("done", None), ("yes no", None), ("send it", None)],
)  # fmt: skip
def test_whether_somebody_agrees(words: str, means: bool | None) -> None:
    assert agrees(words) is means


@pytest.mark.parametrize(
    ("words", "means"),
    [("Yes", True), ("yes, it was done already", True), ("  done already", True),
     ("Yes, I got it", True), ("no", False), ("It wasn't.", False), ("No, do it then", False),
     ("No, it was done already", None), ("no need, it is there", None),
     ("No worries, she has it", None), ("ok, it was not", None), ("do it", None),
     ("don't", None), ("no, don't", None), ("ok", None), ("no?", None)],
)  # fmt: skip
def test_whether_something_was_done(words: str, means: bool | None) -> None:
    assert was_done(words) is means


_OTHER = st.text(min_size=1).filter(lambda text: any(c.isalnum() for c in text))


@given(
    st.sampled_from(["yes", "ok", "Sure", "go ahead", "yes, do it", "no", "don't", "it was done"]),
    _OTHER.filter(lambda text: not _KNOWN.intersection(text.casefold().replace("’", "'").split())),
    st.sampled_from([" ", ", ", ". ", "\n", " - "]),
    st.booleans(),
)
def test_whatever_is_said_besides_makes_it_no_plain_answer(
    plain: str, other: str, between: str, before: bool
) -> None:
    bare = set(plain_words._BETWEEN.sub(" ", other.casefold().replace("’", "'")).split())
    if bare & _KNOWN:
        return
    words = f"{other}{between}{plain}" if before else f"{plain}{between}{other}"
    assert agrees(words) is None
    assert was_done(words) is None
