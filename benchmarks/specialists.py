"""Do the specialists answer questions of their kind better than the generalist?

`python -m benchmarks.specialists [--quick] [--json] [--model small|tiny] [--specialist NAME ...]
[--minutes N]`

Every question of a specialist's file is asked of the specialist and of the generalist, each as
defined, through the real agent loop and tools, on the embedded model (or on OPENAI_BASE_URL, if
that is set). The checks beside the questions judge, no model does. Every answer is kept in `--out`
and not asked for again while model, definition, tools and question are the same, so a broken run
goes on where it was. Name another file after a change of the agent loop or the model adapter.
"""

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agents.checks import Question, judge, load_questions
from agents.definition import LIBRARY, shipped_definitions
from agents.local_model import EmbeddedModel
from agents.models import Models, ModelSettings
from agents.ports import FileRef, ToolContext
from agents.tools import CATALOGUE
from agents.turns import Turn
from agents.universal_agent import AgentFinished, AgentStopped, UniversalAgent
from agents.weights import path_of
from benchmarks.paired import Difference, clustered_difference, paired_difference
from database.errors import InputError, UnknownName
from database.records import Message, Reader, content_hash

GENERALIST = "generalist"
QUICK = 8
"""Questions of each specialist in a quick run."""

AT_ONCE = 2
"""Answers asked for side by side; the embedded model has as many slots, and the seconds say so."""

ROUND = 14
LINE_EVERY = 20

NOW = datetime(2026, 3, 11, 10, 0, tzinfo=UTC)
"""When all questions are asked, a Wednesday: some speak of today."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer and its verdict; tokens of all model calls together, seconds of wall time."""

    key: str
    agent: str
    question: str
    request: str
    answer: str
    passed: bool
    reason: str
    tools: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A specialist and the generalist on the same questions: shares passed, means per answer."""

    n: int
    specialist: float
    generalist: float
    difference: float
    low: float
    high: float
    specialist_tokens: float
    generalist_tokens: float
    specialist_seconds: float
    generalist_seconds: float


class _NothingElse:
    """No remembered messages, files or workflows: the questions carry all that they are about."""

    async def search_messages(
        self, words: str, reader: Reader, limit: int = 10
    ) -> Sequence[Message]:
        return ()

    def files(self) -> Sequence[FileRef]:
        return ()

    async def read(self, file_id: str) -> bytes:
        raise UnknownName("There is no file in this thread.")

    async def names(self, reader: Reader) -> Sequence[str]:
        return ()

    async def named_in(self, text: str, reader: Reader) -> Sequence[str]:
        return ()

    async def run_inline(self, name: str, inputs: Mapping[str, str], reader: Reader) -> str:
        raise UnknownName("There is no workflow here.")


class Answers:
    """What was answered so far, one JSON line each, so that a broken run goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept: dict[str, Asked] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            body = json.loads(line)
            self.kept[body["key"]] = Asked(**body | {"tools": tuple(body["tools"])})

    def keep(self, asked: Asked) -> None:
        """Write it down at once."""
        self.kept[asked.key] = asked
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(asked), ensure_ascii=False) + "\n")


async def ask(agent: UniversalAgent, question: Question, key: str) -> Asked:
    """One question to one agent, through its whole loop; a run that fails gives no answer."""
    nothing = _NothingElse()
    context = ToolContext(
        user_id="U1",
        channel_id="C1",
        thread_ts="1.0",
        reader=Reader("U1"),
        now=NOW,
        recall=nothing,
        files=nothing,
        workflows=nothing,
    )
    began = time.perf_counter()
    finished = AgentFinished("", ())
    try:
        async for event in agent.run([Turn("user", question.request)], context):
            if isinstance(event, AgentFinished):
                finished = event
    except AgentStopped as stopped:
        finished = AgentFinished("", stopped.steps)
    seconds = time.perf_counter() - began
    verdict = await judge(question.check, finished.reply)
    return Asked(
        key=key,
        agent=agent.definition.name,
        question=question.id,
        request=question.request,
        answer=finished.reply or finished.needs_person or "",
        passed=verdict.passed,
        reason=verdict.reason,
        tools=tuple(step.name for step in finished.steps if step.kind == "tool"),
        input_tokens=finished.input_tokens or 0,
        output_tokens=finished.output_tokens or 0,
        seconds=round(seconds, 2),
    )


def compare(pairs: Sequence[tuple[Asked, Asked]]) -> Comparison:
    """What the answers to one specialist's questions say; the specialist's answer comes first."""
    difference = paired_difference([(a.passed, b.passed) for a, b in pairs])
    sides = list(zip(*pairs, strict=True))
    passed, tokens, seconds = (
        [sum(map(value, side)) / len(side) for side in sides]
        for value in (
            lambda asked: asked.passed,
            lambda asked: asked.input_tokens + asked.output_tokens,
            lambda asked: asked.seconds,
        )
    )
    return Comparison(
        n=difference.n,
        specialist=passed[0],
        generalist=passed[1],
        difference=difference.difference,
        low=difference.low,
        high=difference.high,
        specialist_tokens=tokens[0],
        generalist_tokens=tokens[1],
        specialist_seconds=seconds[0],
        generalist_seconds=seconds[1],
    )


def summary(model: str, answers: Mapping[str, Sequence[tuple[Asked, Asked]]]) -> dict[str, Any]:
    """The report: each specialist, and all together, twice.

    `low` and `high` take the specialists for a sample: they speak of specialists like these. The
    interval of `these` takes the questions alone for one: it speaks of the specialists measured.
    With one specialist alone the pooled figures are its own.
    """
    pairs = [[(a.passed, b.passed) for a, b in asked] for asked in answers.values()]
    together: Difference
    together = clustered_difference(pairs) if len(pairs) > 1 else paired_difference(pairs[0])
    these = paired_difference([pair for asked in pairs for pair in asked])
    return {
        "model": model,
        "specialists": {name: asdict(compare(asked)) for name, asked in answers.items()},
        "pooled_difference": together.difference,
        "low": together.low,
        "high": together.high,
        "n": together.n,
        "these": asdict(these),
    }


def questions_of(name: str, part: str, limit: int | None) -> list[Question]:
    """The questions beside a specialist's definition, of one part; `limit` spreads evenly."""
    path = LIBRARY / f"{name}.questions.jsonl"
    asked = [question for question in load_questions(path) if question.part == part]
    return asked if limit is None else asked[:: max(1, len(asked) // limit)][:limit]


@asynccontextmanager
async def models(options: argparse.Namespace) -> AsyncIterator[tuple[Models, str]]:
    """The model to measure and its name: OPENAI_BASE_URL's if set, else the embedded one."""
    url = os.environ.get("OPENAI_BASE_URL")
    if url:
        name = os.environ.get("VIRTUOUS6_MODEL", options.model)
        key = os.environ.get("OPENAI_API_KEY")
        secret = SecretStr(key) if key else None
        settings = ModelSettings(url, secret, name, name, native_tools=secret is not None)
        used = Models(settings)
        try:
            yield used, name
        finally:
            await used.aclose()
        return
    async with EmbeddedModel(path_of(options.model, options.weights), options.model) as embedded:
        used = Models(embedded.settings)
        try:
            yield used, options.model
        finally:
            await used.aclose()


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Ask everything that is not answered yet, and report."""
    definitions = {definition.name: definition for definition in shipped_definitions()}
    names = options.specialist or [name for name in definitions if name != GENERALIST]
    if unknown := sorted(set(names) - set(definitions)):
        raise UnknownName(f"no specialist is called {', '.join(unknown)}")
    asked = {
        name: questions_of(name, options.part, QUICK if options.quick else None) for name in names
    }
    answers = Answers(options.out)
    async with models(options) as (used, model):
        agents = {
            name: UniversalAgent(definitions[name], used, CATALOGUE)
            for name in (*names, GENERALIST)
        }
        work = Work(answers, agents, model)
        with _progress(2 * sum(map(len, asked.values()))) as step:
            await work.do(in_rounds(asked), step, options.minutes * 60)
    pairs = {name: work.pairs(name, questions) for name, questions in asked.items()}
    if not any(pairs.values()):
        raise InputError("no question was answered by both sides yet: allow more --minutes")
    return summary(model, {name: answered for name, answered in pairs.items() if answered})


def in_rounds(asked: Mapping[str, Sequence[Question]]) -> Iterator[tuple[str, Question]]:
    """Some questions of each specialist, then more of each: a run cut short says a little of all.

    A round is long enough that the model rarely has to read a specialist's examples anew.
    """
    for start in range(0, max(map(len, asked.values()), default=0), ROUND):
        for name, questions in asked.items():
            for question in questions[start : start + ROUND]:
                yield name, question


class Step(Protocol):
    """Is told that one more answer is there, and whether it took time just now."""

    def __call__(self, name: str, *, new: bool) -> None:
        """`name` is the specialist whose question it was."""


class Work:
    """Asks two at a time, as many as the embedded model answers side by side."""

    def __init__(self, answers: Answers, agents: Mapping[str, UniversalAgent], model: str) -> None:
        self._answers = answers
        self._agents = agents
        self._model = model

    async def do(
        self, questions: Iterator[tuple[str, Question]], step: Step, seconds: float
    ) -> None:
        """Asks both sides, none after so many seconds; `step` is told of each answer."""
        end = time.monotonic() + seconds
        left = ((who, name, asked) for name, asked in questions for who in (name, GENERALIST))

        async def worker() -> None:
            for who, name, question in left:
                if time.monotonic() >= end:
                    return
                step(name, new=await self._ask_once(who, question))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(worker())

    def pairs(self, name: str, questions: Sequence[Question]) -> list[tuple[Asked, Asked]]:
        """What a specialist and the generalist answered, where both of them have."""
        kept = self._answers.kept
        sides = (
            (kept.get(self._key(name, question)), kept.get(self._key(GENERALIST, question)))
            for question in questions
        )
        return [(first, second) for first, second in sides if first and second]

    async def _ask_once(self, who: str, question: Question) -> bool:
        key = self._key(who, question)
        if key in self._answers.kept:
            return False
        self._answers.keep(await ask(self._agents[who], question, key))
        return True

    def _key(self, who: str, question: Question) -> str:
        definition = self._agents[who].definition
        return content_hash(
            {
                "model": self._model,
                "agent": definition.version,
                "tools": [asdict(CATALOGUE[name].spec) for name in definition.tools],
                "request": question.request,
                "check": [check.model_dump(mode="json") for check in question.check],
            }
        )


@contextmanager
def _progress(total: int) -> Iterator[Step]:
    """A bar on standard error; where that is no terminal, a line now and then with what is left."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    began, done, asked = time.perf_counter(), 0, 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("answers", total=total)

        def step(name: str, *, new: bool) -> None:
            nonlocal done, asked
            done, asked = done + 1, asked + new
            progress.update(bar, advance=1, description=f"{name:14}")
            if new and asked % LINE_EVERY == 0 and not console.is_terminal:
                left = (time.perf_counter() - began) / asked * (total - done) / 60
                console.print(f"{done} of {total} answers, {name}, about {left:.0f} minutes left")

        yield step


def print_report(report: Mapping[str, Any]) -> None:
    """The report for people."""
    table = Table(title=f"Specialists and the generalist on the model '{report['model']}'")
    table.add_column("specialist")
    for column in ("n", "passed %", "generalist %", "difference", "95%", "tokens", "seconds"):
        table.add_column(column, justify="right")
    for name, one in report["specialists"].items():
        table.add_row(
            name,
            str(one["n"]),
            f"{one['specialist']:.0%}",
            f"{one['generalist']:.0%}",
            f"{one['difference']:+.0%}",
            f"{one['low']:+.0%} to {one['high']:+.0%}",
            f"{one['specialist_tokens']:.0f} / {one['generalist_tokens']:.0f}",
            f"{one['specialist_seconds']:.1f} / {one['generalist_seconds']:.1f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"pooled difference {report['pooled_difference']:+.1%}, 95% interval "
        f"{report['low']:+.1%} to {report['high']:+.1%} for specialists like these, "
        f"{report['these']['low']:+.1%} to {report['these']['high']:+.1%} for these, "
        f"{report['n']} questions"
    )


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    home = Path(os.environ.get("VIRTUOUS6_HOME", Path.home() / ".virtuous6"))
    parser = argparse.ArgumentParser(prog="benchmarks.specialists", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} questions a specialist")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--model", choices=("small", "tiny"), default="small")
    parser.add_argument("--specialist", action="append", metavar="NAME")
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        metavar="N",
        help="stop asking after N minutes and report what both sides have answered",
    )
    parser.add_argument("--part", choices=("test", "dev"), default="test")
    parser.add_argument("--weights", type=Path, default=home / "models", metavar="FOLDER")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(tempfile.gettempdir()) / "virtuous6-specialists.jsonl",
        help="where every answer is kept",
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Measure, then print."""
    options = read_arguments()
    report = asyncio.run(measure(options))
    if options.json:
        json.dump(report, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print_report(report)
        Console().print(f"every answer: {options.out}")


if __name__ == "__main__":
    main()
