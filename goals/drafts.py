"""What a model is asked for when it plans, and its answer read without believing any of it.

The schemas are bounded, so that a small model finishes. Reading is lenient: what a server that
keeps to no schema sends is repaired (goals.repairs) rather than lost, and keys that nobody asked
for, such as tools or budgets, are not read.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

TITLE = 60
TASK = 300
RESULT = 80
AIM = 100
STAGES = 3
_NEEDS = 4
_READ = 200
"""More entries of a list are not even read."""


def _text(value: object) -> str:
    """One line of what should be a text."""
    return " ".join(str(value).split()) if isinstance(value, str | int | float) else ""


def _number(value: object) -> int:
    """The number of a step; 0 for what is none."""
    text = str(value).strip().removeprefix("step").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def _numbers(value: object) -> list[int]:
    return [_number(one) for one in _listed(value)]


def _texts(value: object) -> list[str]:
    return [text for text in map(_text, _listed(value)) if text]


def _objects(value: object) -> list[object]:
    return [one for one in _listed(value) if isinstance(one, dict | DraftStep)]


def _listed(value: object) -> list[object]:
    if isinstance(value, list):
        return value[:_READ]
    return [] if value is None else [value]


Text = Annotated[str, BeforeValidator(_text)]
Number = Annotated[int, BeforeValidator(_number)]


class DraftStep(BaseModel):
    """A step as a model wrote it; others call it by its place, from 1."""

    model_config = ConfigDict(extra="ignore")

    title: Text = ""
    task: Text = ""
    result: Text = ""
    stage: Number = 1
    needs: Annotated[list[int], BeforeValidator(_numbers)] = []


class Draft(BaseModel):
    """A plan as a model wrote it: what it is for, its stages, its steps."""

    model_config = ConfigDict(extra="ignore")

    goal: Text = ""
    stages: Annotated[list[str], BeforeValidator(_texts)] = []
    steps: Annotated[list[DraftStep], BeforeValidator(_objects)] = []


class Filled(BaseModel):
    """Short texts by their name, as a model chose or found them."""

    model_config = ConfigDict(extra="allow")

    def text(self, name: str) -> str:
        """What was given for a name; '' for nothing."""
        return _text((self.model_extra or {}).get(name, ""))


def plan_schema(least: int, most: int, parts: int = 0) -> type[Draft]:
    """The form of a plan of `least` to `most` steps.

    Each step says its stage: one of the `parts` that the request is known to have, else one that
    the plan names itself.
    """
    step = {
        "stage": {"type": "integer", "minimum": 1, "maximum": parts or STAGES},
        "title": _line(TITLE),
        "task": _line(TASK),
        "needs": _array({"type": "integer", "minimum": 1, "maximum": most}, 0, _NEEDS),
        "result": _line(RESULT),
    }
    stages = {} if parts else {"stages": _array(_line(AIM), 1, STAGES)}
    body = {"goal": _line(AIM), **stages, "steps": _array(_object(step), least, most)}

    class Plan(Draft):
        @classmethod
        def __get_pydantic_json_schema__(cls, *_: Any) -> dict[str, Any]:
            return _object(body)

    return Plan


def order_schema(parts: int) -> type[Draft]:
    """The form of what is to be said of known steps: an entry for each, in their order."""
    step = {
        "needs": _array({"type": "integer", "minimum": 1, "maximum": parts}, 0, _NEEDS),
        "result": _line(RESULT),
    }
    body = {"goal": _line(AIM), "steps": _array(_object(step), parts, parts)}

    class Order(Draft):
        @classmethod
        def __get_pydantic_json_schema__(cls, *_: Any) -> dict[str, Any]:
            return _object(body)

    return Order


def steps_schema(most: int, largest: int) -> type[Draft]:
    """The form of one to `most` more steps, which may need steps up to number `largest`."""
    step = {
        "title": _line(TITLE),
        "task": _line(TASK),
        "needs": _array({"type": "integer", "minimum": 1, "maximum": largest}, 0, _NEEDS),
    }

    class MoreSteps(Draft):
        @classmethod
        def __get_pydantic_json_schema__(cls, *_: Any) -> dict[str, Any]:
            return _object({"steps": _array(_object(step), 1, most)})

    return MoreSteps


def choice_schema(offers: Mapping[str, Sequence[str]]) -> type[Filled]:
    """The form of one name for each key, of those offered for it."""
    return _filled({key: {"type": "string", "enum": list(names)} for key, names in offers.items()})


def blanks_schema(names: Sequence[str]) -> type[Filled]:
    """The form of a short text for each name."""
    text = {"type": "string", "maxLength": TASK}
    return _filled(dict.fromkeys(names, text))


def _filled(properties: Mapping[str, Any]) -> type[Filled]:
    class Answers(Filled):
        @classmethod
        def __get_pydantic_json_schema__(cls, *_: Any) -> dict[str, Any]:
            return _object(properties)

    return Answers


def _line(most: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 3, "maxLength": most}


def _array(items: Mapping[str, Any], least: int, most: int) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), "minItems": least, "maxItems": most}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
