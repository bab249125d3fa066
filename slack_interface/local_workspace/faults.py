"""Trouble on purpose: what scripts may switch on through `/_control/faults`."""

import random
from dataclasses import dataclass, field, fields
from typing import Any

from slack_interface.local_workspace.errors import ControlError

PROBABILITIES = ("duplicate", "drop", "reorder", "socket_kill", "rate_limit", "errors")


@dataclass(slots=True)
class Faults:
    """Probabilities are 0..1 for each delivery or call; the rest are settings.

    duplicate: an event arrives twice (same event_id). drop: one attempt is lost on its way; the
    retries take over. reorder: an event waits until the next one has gone. delay_ms: every
    delivery waits so long. socket_kill: the connection breaks right after a delivery, before its
    acknowledgement. rate_limit: a call answers 429. errors: a call answers HTTP 500. pacing:
    Slack's rate rules hold. stream_lifetime_s and clock_rate: see Limits and Clock.
    """

    duplicate: float = 0.0
    drop: float = 0.0
    reorder: float = 0.0
    delay_ms: float = 0.0
    socket_kill: float = 0.0
    rate_limit: float = 0.0
    errors: float = 0.0
    pacing: bool = True
    stream_lifetime_s: float = 300.0
    clock_rate: float = 1.0
    seed: int | None = None
    dice: random.Random = field(default_factory=random.Random)

    def strikes(self, probability: float) -> bool:
        """Whether a fault of this probability happens now."""
        return probability > 0 and self.dice.random() < probability

    def update(self, wanted: dict[str, Any]) -> None:
        """Set some of the faults; nothing changes when one of them is wrong.

        Raises ControlError `invalid_fault`.
        """
        for name, value in wanted.items():
            _check(name, value)
        for name, value in wanted.items():
            setattr(self, name, value)
        if "seed" in wanted:
            self.dice.seed(self.seed)

    def as_json(self) -> dict[str, Any]:
        """All settings."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "dice"}


def _check(name: str, value: Any) -> None:
    known = [f.name for f in fields(Faults) if f.name != "dice"]
    if name not in known:
        raise ControlError("invalid_fault", f"No fault {name!r}; there are {', '.join(known)}.")
    if name == "pacing":
        if not isinstance(value, bool):
            raise ControlError("invalid_fault", "pacing is true or false.")
    elif name != "seed" or value is not None:
        _check_number(name, value)


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ControlError("invalid_fault", f"{name} must be a number, not {value!r}.")
    if name in PROBABILITIES and not 0 <= value <= 1:
        raise ControlError("invalid_fault", f"{name} is a probability from 0 to 1, not {value}.")
    if name in ("clock_rate", "stream_lifetime_s") and value <= 0:
        raise ControlError("invalid_fault", f"{name} must be greater than 0.")
    if name == "delay_ms" and value < 0:
        raise ControlError("invalid_fault", "delay_ms cannot be negative.")
