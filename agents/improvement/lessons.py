"""What was learned from errors, as documents of kind `lesson`, and what a call looks like.

A lesson says in our own words what a tool was called with when it failed and what worked instead.
Of what others wrote it holds the shape of arguments, and an error's template, shown as data.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from database.errors import InputError
from database.learning import learning_id

MAX_FEATURES = 24
"""Of one call: a tool with more arguments than these is described by the first ones."""

_SHAPE_CHARACTERS = 40
_WORDS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d")
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,39}", re.ASCII)
"""What may be the name of an argument or a tool: what a model made up is no name."""
_ID = re.compile(r"[a-z]{2,20}(?:[_-][a-z]{2,20}){0,3}[_-]\d+")
_MOST_CHARACTERS = 60
_SAY_NOTHING = frozenset({"a", "a a", "text", "object", "empty list", "nothing", "yes or no"})
_MARKS = re.compile(r"[<>`*\x00-\x1f]")


class Fix(BaseModel):
    """What worked: `change` other arguments, `first` call another tool, `instead` use another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["change", "first", "instead"]
    names: Annotated[tuple[str, ...], Field(min_length=1, max_length=6)]
    like: Annotated[str, Field(max_length=80)] = ""


class Lesson(BaseModel):
    """When `tool` is called with `when` (a feature of the call) it fails with `error`.

    Without `when` nothing in the call tells beforehand; the lesson then helps after the failure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: Annotated[str, Field(min_length=1, max_length=64)]
    error: Annotated[str, Field(min_length=1, max_length=300)]
    when: Annotated[str, Field(min_length=1, max_length=160)] | None = None
    fix: Fix | None = None

    @property
    def name(self) -> str:
        """The name of its document: what it is about, not what it says."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.tool.lower()).strip("-") or "tool"
        return f"{slug}-{learning_id('lesson', self.tool, self.error, self.when or '')[:8]}"

    def body(self) -> dict[str, Any]:
        """The lesson as a Document's body."""
        return self.model_dump(mode="json")

    def fits(self, tool: str, arguments: Mapping[str, Any] | None) -> bool:
        """Whether a call is one that is known to fail."""
        if tool != self.tool or self.when is None:
            return False
        if self.when.startswith("-"):
            return self.when[1:] not in (arguments or {})
        return self.when in features(arguments)

    def advice(self) -> str:
        """What a model is told: nothing in it is anybody's words, the error's neither."""
        return f"`{self.tool}` {_when(self.when)} is known to fail. {_worked(self.fix)}".strip()

    def sentence(self) -> str:
        """What a person is told: the error, and what worked."""
        shown = f"`{self.tool}` {_when(self.when)} fails: “{_harmless(self.error)}”."
        return f"{shown} {_worked(self.fix)}".strip()


def parse_lesson(body: Mapping[str, Any], where: str) -> Lesson:
    """The lesson that `body` holds. Raises InputError that names `where` and the wrong key."""
    try:
        return Lesson.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {key}: {first['msg']}") from None


def features(arguments: Mapping[str, Any] | None) -> frozenset[str]:
    """What can be said of a call without quoting it: the shape of each argument.

    `date~9/9/9` is an argument `date` of that shape, `all=true` one that is yes, and `+date` says
    that it was given. A lesson may also speak of what was not: `-date`.
    """
    found: set[str] = set()
    named = [key for key in sorted(arguments or {}) if _NAME.fullmatch(key)]
    for key in named[:MAX_FEATURES]:
        value = (arguments or {})[key]
        found |= {f"+{key}", f"{key}~{shape(value)}"}
        if isinstance(value, bool) or value is None:
            found.add(f"{key}={value}".lower())
    return frozenset(found)


def is_name(text: str) -> bool:
    """Whether this can be the name of a tool or an argument, and not somebody's sentence."""
    return _NAME.fullmatch(text) is not None


def shape(value: object) -> str:
    """What a value looks like: letters become `a`, digits `9`, runs of words one `a a`.

    Ids that begin with what they are (`gift_card_4711`) keep that; a long text is only `text`.
    """
    if value is None or isinstance(value, bool):
        return "yes or no" if isinstance(value, bool) else "nothing"
    if isinstance(value, int | float):
        return f"{'negative ' if value < 0 else ''}{'whole ' * isinstance(value, int)}number"
    if isinstance(value, list | tuple):
        return "empty list" if not value else f"list of {shape(value[0])}"[:_SHAPE_CHARACTERS]
    if isinstance(value, Mapping):
        return "object"
    text = str(value).strip()
    if len(text) > _MOST_CHARACTERS:
        return "text"
    if not _ID.fullmatch(text):
        text = re.sub(r"a(?:[\s'’,.]+a)+", "a a", _WORDS.sub("a", text))
    text = re.sub(r"9{5,}", "99999", _DIGITS.sub("9", text))
    return _MARKS.sub("", text)[:_SHAPE_CHARACTERS] or "empty"


def telling(looks: str) -> bool:
    """Whether a shape says something to whoever has to make another value of it."""
    return looks not in _SAY_NOTHING and not looks.startswith("list of ")


def _when(feature: str | None) -> str:
    if feature is None:
        return "sometimes"
    if feature.startswith("+"):
        return f"with `{feature[1:]}` given"
    if feature.startswith("-"):
        return f"without `{feature[1:]}`"
    name, sign, value = re.split(r"([~=])", feature, maxsplit=1)
    return f"with `{name}` {'like' if sign == '~' else 'as'} “{value}”"


def _worked(fix: Fix | None) -> str:
    if fix is None:
        return ""
    names = " and ".join(f"`{name}`" for name in fix.names)
    if fix.kind == "first":
        return f"It worked after {names} was called first."
    if fix.kind == "instead":
        return f"Use {names} instead."
    return f"It worked with another {names}{f', like “{fix.like}”' if fix.like else ''}."


def _harmless(template: str) -> str:
    """An error's words as a quotation that cannot end itself."""
    plain = template.replace("<*>", "…").replace("“", '"').replace("”", '"')
    return _MARKS.sub("", plain)[:160]
