"""What a tool is: a name, a JSON schema, an effect, and an async function that returns text."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from agents.ports import ToolContext
from agents.turns import ToolSpec
from database.errors import VirtuousError

Effect = Literal["read", "write"]


class ToolFailed(VirtuousError):
    """The tool could not do it; the message tells the model what to do instead."""


class EndUnseen(ToolFailed):
    """The tool was begun and gave no answer: it may or may not have done it."""


class ArgumentsRefused(ToolFailed):
    """The arguments do not fit the tool's schema; the message says which and how."""


class PersonNeeded(Exception):
    """The agent wants a person to answer `question` before it goes on."""

    def __init__(self, question: str) -> None:
        super().__init__(question)
        self.question = question


def _always(context: ToolContext) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that an agent can do.

    `call` checks the arguments (ArgumentsRefused), does it and returns text for the model, or
    raises ToolFailed. `title` and the argument named `subject` are shown to the person while it
    runs. `foreign` says that the result holds text written by others: data, never instructions.
    `examples` are requests that need it and `known` a result for the first of them, for models that
    decide by example. `offered` says whether there is anything for it to work on just now.
    `lent_to` are agents that have it without naming it. `repeatable` says that the same call twice
    changes nothing more than once.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    effect: Effect
    title: str
    call: Callable[[Mapping[str, Any], ToolContext], Awaitable[str]]
    subject: str | None = None
    foreign: bool = True
    examples: tuple[str, ...] = ()
    known: str = ""
    offered: Callable[[ToolContext], bool] = _always
    lent_to: tuple[str, ...] = ()
    repeatable: bool = False

    @property
    def spec(self) -> ToolSpec:
        """What the model is told of it."""
        return ToolSpec(self.name, self.description, self.parameters, self.examples, self.known)

    def shown(self, arguments: Mapping[str, Any]) -> str:
        """What the person sees while it runs, at most about 80 characters."""
        subject = arguments.get(self.subject) if self.subject else None
        if not isinstance(subject, str) or not subject.strip():
            return self.title
        line = " ".join(subject.split())
        return f"{self.title}: {line if len(line) <= 60 else line[:59] + '…'}"


Arguments = TypeVar("Arguments", bound=BaseModel)


def checked(
    arguments: type[Arguments], run: Callable[[Arguments, ToolContext], Awaitable[str]]
) -> Callable[[Mapping[str, Any], ToolContext], Awaitable[str]]:
    """`run` behind a check of what the model gave."""

    async def call(given: Mapping[str, Any], context: ToolContext) -> str:
        try:
            read = arguments.model_validate(dict(given))
        except ValidationError as error:
            raise ArgumentsRefused(_complaints(error)) from None
        return await run(read, context)

    return call


def schema_of(arguments: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of `arguments` without the titles, which small models read for nothing."""
    schema: dict[str, Any] = _without_titles(arguments.model_json_schema())
    schema.pop("description", None)
    schema["additionalProperties"] = False
    return schema


def _without_titles(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(value)
        for key, value in node.items()
        if key != "title" or isinstance(value, dict)
    }


def _complaints(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}"
        for problem in error.errors()[:5]
    )
