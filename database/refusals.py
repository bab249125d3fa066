"""Why a decision about a document is refused: the same words wherever the record is."""

from database.errors import InputError, StaleBase, UnknownName
from database.records import Document


def taken(made: Document) -> InputError:
    """The name cannot be given again."""
    return InputError(f"The name {made.name} is taken or reserved; choose another.")


def unknown(made: Document) -> UnknownName:
    """There is nothing to make a new version of."""
    return UnknownName(f"There is no {made.kind} called {made.name}; create it first.")


def stale(made: Document, number: int) -> StaleBase:
    """`number` is the version that is active now."""
    return StaleBase(
        f"The {made.kind} {made.name} was changed in the meantime (version {number}). "
        "Look at the new version and decide again."
    )
