"""What is known of how good an answer was."""

from collections.abc import Sequence

from database.records import Feedback, Run


def word_on(run: Run, feedback: Sequence[Feedback]) -> tuple[bool, float] | None:
    """Whether it was good, and how surely (0..1): by a check, or the weightiest latest word.

    None where nobody said anything.
    """
    if run.outcome.success is not None:
        return run.outcome.success, 1.0
    spoken = [one for one in feedback if one.weight and one.value]
    if not spoken:
        return None
    last = max(spoken, key=lambda one: (one.weight, one.created_at))
    return last.value > 0, last.weight


def went_well(run: Run, feedback: Sequence[Feedback]) -> bool | None:
    """The same without how surely; None where nobody said anything."""
    word = word_on(run, feedback)
    return None if word is None else word[0]
