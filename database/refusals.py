"""Why a decision about a document is refused: the same words wherever the record is."""

from database.errors import InputError, NotAllowed, StaleBase, StaleRevision, UnknownName
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


def gone(made: Document) -> StaleBase:
    """It was retired since the change was thought of."""
    return StaleBase(
        f"The {made.kind} {made.name} was retired in the meantime. Propose it anew if it is still "
        "wanted."
    )


def beyond(made: Document) -> NotAllowed:
    """What is for a few would be read by more."""
    return NotAllowed(
        f"The change of the {made.kind} {made.name} rests on what not everybody who uses it may "
        "read. Propose it for those who may, or without what was said in private."
    )


def moved(table: str, key: str) -> StaleRevision:
    """Somebody else was there first."""
    what = table.replace("_", " ").removesuffix("s")
    return StaleRevision(
        f"The {what} {key} was moved in the meantime. Look at it again, and decide anew."
    )
