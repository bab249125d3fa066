"""What `doctor` says of one thing that it looked at."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "missing", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `advice` says what to do where it is not ok.

    `needed` tells whether the assistant cannot run without it.
    """

    name: str
    status: Status
    detail: str
    advice: str = ""
    needed: bool = True
