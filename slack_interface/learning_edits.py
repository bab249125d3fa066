"""What people make of a suggestion: its values in a form, and what they wrote there as changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from database.errors import InputError
from database.learning import Change, Proposal
from slack_interface.learning_diff import changed_fields

MOST_CHARS = 3000
"""A field of a form holds no more; a longer text is changed with `conclude: ...`."""
MOST_FIELDS = 12
INSTRUCTIONS = "system_prompt"

Bodies = Sequence[Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Value:
    """One value that a suggestion changes: `block_id` is its place in the form."""

    block_id: str
    label: str
    text: str


def values_of_suggestion(proposal: Proposal, before: Bodies) -> list[Value]:
    """The values that a person may change, as they would be after the suggestion."""
    found = []
    for number, change in enumerate(proposal.changes[: len(before)]):
        for key in changed_fields(before[number], change.body) if change.body else ():
            text = _written((change.body or {}).get(key))
            if len(text) <= MOST_CHARS and len(key) <= 100:
                found.append(Value(f"value:{number}:{key}", f"{change.name}: {key}", text))
    return found[:MOST_FIELDS]


def edited(proposal: Proposal, written: Mapping[str, str]) -> tuple[Change, ...]:
    """The changes with what a person wrote in the form.

    Raises InputError where nothing is different, or a value cannot be read.
    """
    bodies = {n: dict(change.body) for n, change in enumerate(proposal.changes) if change.body}
    for block_id, text in written.items():
        kind, _, rest = block_id.partition(":")
        number, _, key = rest.partition(":")
        if kind == "value" and number.isdigit() and key in bodies.get(int(number), {}):
            body = bodies[int(number)]
            body[key] = _read(key, text, body[key])
    return _different(proposal, bodies)


def with_line(proposal: Proposal, words: str) -> tuple[Change, ...]:
    """The changes with one more line in the instructions of the agent that they are about.

    Raises InputError where there is no such agent, or more than one.
    """
    words = " ".join(words.split())
    if not words:
        raise InputError("Say what you concluded: `conclude: answer with the label only`.")
    agents = [
        n for n, change in enumerate(proposal.changes)
        if change.kind == "agent" and change.body and change.body.get(INSTRUCTIONS)
    ]  # fmt: skip
    if len(agents) != 1:
        raise InputError(
            "That does not say which instructions are meant: press *Write the conclusion* above, "
            "and change the values there."
        )
    bodies = {n: dict(change.body) for n, change in enumerate(proposal.changes) if change.body}
    prompt = str(bodies[agents[0]][INSTRUCTIONS])
    bodies[agents[0]][INSTRUCTIONS] = f"{prompt.rstrip()}\n{words}"
    return _different(proposal, bodies)


def _different(proposal: Proposal, bodies: Mapping[int, Mapping[str, Any]]) -> tuple[Change, ...]:
    changes = tuple(
        replace(change, body=bodies.get(n)) for n, change in enumerate(proposal.changes)
    )
    if [change.version for change in changes] == [c.version for c in proposal.changes]:
        raise InputError(
            "That is the same as what is suggested already: approve it, or change a value."
        )
    return changes


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else f"{value:g}"
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).strip()


def _read(key: str, text: str, former: object) -> object:
    """As the former value was: words stay words, everything else is read as YAML."""
    if _written(former) == text.strip():
        return former
    if isinstance(former, str):
        return text.strip()
    try:
        return yaml.safe_load(text) if text.strip() else None
    except yaml.YAMLError:
        raise InputError(
            f"{key} cannot be read: write it as it was, such as {_written(former)[:80]!r}."
        ) from None
