"""A checkable question, its file, and the verdict on an answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.checks.code import PythonResult, RegexResult, SqlResult
from agents.checks.reading import unfenced
from agents.checks.text import TextCheck
from database.errors import InputError

Check = Annotated[TextCheck | PythonResult | RegexResult | SqlResult, Field(discriminator="kind")]


class Question(BaseModel):
    """What a person might ask, and what any good answer satisfies.

    `part` keeps apart what prompts were developed on (dev) and what is measured (test); `answer`
    is one answer that passes, so that no question asks the impossible.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+-\d{3}$")]
    part: Literal["dev", "test"]
    request: Annotated[str, Field(min_length=1)]
    check: Annotated[tuple[Check, ...], Field(min_length=1)]
    answer: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the answer passes; `reason` says why it does not ("" when it does)."""

    passed: bool
    reason: str = ""


async def judge(checks: Sequence[Check], answer: str) -> Verdict:
    """Pass only where every check does; the first that fails gives the reason.

    Checks of code run it in a restricted process of a few seconds; an empty answer never passes.
    """
    if not unfenced(answer):
        return Verdict(False, "is empty")
    for check in checks:
        if isinstance(check, PythonResult | RegexResult | SqlResult):
            problem = await check.problem(answer)
        else:
            problem = check.problem(answer)
        if problem is not None:
            return Verdict(False, problem)
    return Verdict(True)


def parse_question(body: Any, where: str) -> Question:
    """The question that `body` describes. Raises InputError naming `where` and the wrong key."""
    try:
        return Question.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {key}: {first['msg']}") from error


def load_questions(path: Path) -> list[Question]:
    """The questions of one file, one JSON object a line. Raises InputError with file and line."""
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{path.name}:{number}"
        try:
            body = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: not JSON ({error}); write one object a line") from error
        questions.append(parse_question(body, where))
    return questions
