"""Collects what is wrong with a Block Kit payload, in Slack's wording and with JSON pointers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Surface = Literal["message", "modal", "home"]


@dataclass(slots=True)
class Checker:
    """Faults found so far on one surface."""

    surface: Surface
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str, pointer: str) -> None:
        """Note one fault at a JSON pointer."""
        self.faults.append(f"[ERROR] {text} [json-pointer:{pointer}]")

    def is_object(self, value: Any, pointer: str) -> bool:
        """Whether a value is a JSON object; a fault when not."""
        if not isinstance(value, dict):
            self.fault("must be an object", pointer)
            return False
        return True

    def string(
        self, owner: dict[str, Any], key: str, pointer: str, limit: int, *, required: bool = False
    ) -> None:
        """A plain string of 1 to `limit` characters."""
        value = owner.get(key)
        if value is None:
            if required:
                self.fault(f"missing required field: {key}", pointer)
            return
        if not isinstance(value, str):
            self.fault("must be a string", f"{pointer}/{key}")
        elif len(value) > limit:
            self.fault(f"must be less than {limit + 1} characters", f"{pointer}/{key}")
        elif required and not value:
            self.fault("must be more than 0 characters", f"{pointer}/{key}")

    def text(
        self,
        owner: dict[str, Any],
        key: str,
        pointer: str,
        limit: int,
        *,
        plain: bool = False,
        required: bool = False,
    ) -> None:
        """A text object (`plain_text`, or also `mrkdwn`) of 1 to `limit` characters."""
        value, here = owner.get(key), f"{pointer}/{key}"
        if value is None:
            if required:
                self.fault(f"missing required field: {key}", pointer)
            return
        if not self.is_object(value, here):
            return
        kinds = ("plain_text",) if plain else ("plain_text", "mrkdwn")
        if value.get("type") not in kinds:
            self.fault(f"unsupported type: {value.get('type')}", f"{here}/type")
        if not isinstance(value.get("text"), str):
            self.fault("missing required field: text", here)
        elif len(value["text"]) > limit:
            self.fault(f"must be less than {limit + 1} characters", f"{here}/text")
        elif not value["text"]:
            self.fault("must be more than 0 characters", f"{here}/text")

    def items(
        self, owner: dict[str, Any], key: str, pointer: str, most: int, *, least: int = 1
    ) -> list[Any]:
        """A list of `least` to `most` items; the list, or nothing when it is not one."""
        value, here = owner.get(key), f"{pointer}/{key}"
        if value is None:
            self.fault(f"missing required field: {key}", pointer)
            return []
        if not isinstance(value, list):
            self.fault("must be an array", here)
            return []
        if len(value) > most:
            self.fault(f"no more than {most} items allowed", here)
        if len(value) < least:
            self.fault(f"no fewer than {least} items allowed", here)
        return value

    def one_of(self, value: Any, allowed: Iterable[str], pointer: str) -> None:
        """A value out of a fixed list; None passes."""
        if value is not None and value not in tuple(allowed):
            self.fault("must be a valid enum value", pointer)
