"""Checks that run the answer's code, in a restricted process that never sees what is expected."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.checks.reading import code_of, lines_of

SANDBOX = Path(__file__).with_name("sandbox.py")
TIME_LIMIT_S = 5.0
"""Wall time of one check; the process also limits its own CPU time, memory and files."""


async def run_restricted(task: dict[str, Any]) -> Any:
    """What the task gave, as JSON values. Raises ValueError with the reason it gave nothing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(SANDBOX),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        said, _ = await asyncio.wait_for(
            process.communicate(json.dumps(task).encode()), TIME_LIMIT_S
        )
    except TimeoutError:
        raise ValueError(f"took more than {TIME_LIMIT_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        result = json.loads(said)
    except ValueError:
        raise ValueError("the code stopped its process") from None
    if "error" in result:
        raise ValueError(str(result["error"]))
    return result["value"]


class _CodeCheck(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PythonCase(_CodeCheck):
    """One call and what it must return."""

    arguments: tuple[Any, ...]
    returns: Any


class PythonResult(_CodeCheck):
    """The answer defines `function`, which returns what each case says."""

    kind: Literal["python_result"]
    function: str
    cases: Annotated[tuple[PythonCase, ...], Field(min_length=2)]

    async def problem(self, answer: str) -> str | None:
        """The first case that is wrong, or why the code did not run, or None."""
        task = {
            "language": "python",
            "code": code_of(answer),
            "function": self.function,
            "calls": [case.arguments for case in self.cases],
        }
        try:
            results = await run_restricted(task)
        except ValueError as error:
            return str(error)
        for case, result in zip(self.cases, results, strict=True):
            if result != _as_json(case.returns):
                return f"{self.function}{case.arguments} is {result!r}"
        return None


class RegexResult(_CodeCheck):
    """The answer is a regular expression that fully matches some texts and not others."""

    kind: Literal["regex_result"]
    matches: Annotated[tuple[str, ...], Field(min_length=1)]
    rejects: Annotated[tuple[str, ...], Field(min_length=1)]

    async def problem(self, answer: str) -> str | None:
        """The first text that is judged wrongly, or None."""
        texts = (*self.matches, *self.rejects)
        task = {"language": "regex", "code": _one_line(answer), "texts": texts}
        try:
            results = await run_restricted(task)
        except ValueError as error:
            return str(error)
        wanted = [True] * len(self.matches) + [False] * len(self.rejects)
        wrong = [text for text, a, b in zip(texts, results, wanted, strict=True) if a is not b]
        return f"judges {wrong[0]!r} wrongly" if wrong else None


class SqlResult(_CodeCheck):
    """The answer is one SQLite query that gives these rows on this data.

    Column names are free; `ordered` says whether the order of the rows was asked for.
    """

    kind: Literal["sql_result"]
    tables: str
    rows: tuple[tuple[Any, ...], ...]
    ordered: bool = False

    async def problem(self, answer: str) -> str | None:
        """How the rows differ, or why the query did not run, or None."""
        task = {"language": "sql", "code": code_of(answer), "tables": self.tables}
        try:
            given = await run_restricted(task)
        except ValueError as error:
            return str(error)
        rows, wanted = [[_rounded(row) for row in side] for side in (given, self.rows)]
        if not self.ordered:
            rows, wanted = sorted(rows, key=repr), sorted(wanted, key=repr)
        return None if rows == wanted else f"gives {rows}, not {wanted}"


def _one_line(answer: str) -> str:
    lines = lines_of(code_of(answer))
    return lines[0].strip("`").removeprefix("/").removesuffix("/") if len(lines) == 1 else ""


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _rounded(row: tuple[Any, ...] | list[Any]) -> list[Any]:
    return [float(round(cell, 2)) if isinstance(cell, int | float) else cell for cell in row]
