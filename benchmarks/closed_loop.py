"""Does the assistant really get better by being used? The whole loop, on a real model.

`python -m benchmarks.closed_loop --data FOLDER [--dataset banking77|hwu64|clinc150] [--quick]
[--json] [--seeds 1 2 3] [--labels 16] [--asked 240] [--unseen 200] [--agent-model small|tiny]
[--picture FILE.svg] [--out FILE.jsonl]`
`python -m benchmarks.closed_loop --kept FILE.jsonl ... [--json] [--picture FILE.svg]`

`--data` is the folder of the public intent sets, one folder each with `queries.jsonl.gz`. For each
seed a local workspace and the assistant as shipped, on the embedded model (or on OPENAI_BASE_URL,
if that is set). The people are simulated: they mention the assistant in a channel, ask which of the
labels that stand in the question a message has, and know the right answer. Right gets a thumb up,
wrong a thumb down and "the right answer is ...". Nothing else is told to anybody, and no answer is
scripted. They rest while learning is at work, as people do at night. Whoever may approve presses
Approve below each card that asks for it.

Before anything was learned and at the end questions are asked that nobody learns from, in a channel
that declined: the same ones both times, not among those above. `strict` is the label and nothing
else, `lenient` an answer that names no other label. What is answered is kept in `--out`, one seed
after the other, at once or on several days; `--kept` makes the figures and the picture of it.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from rich.console import Console

from agents.checks import judge
from agents.checks.text import Label
from benchmarks.closed_loop_people import (
    ADA,
    ALAN,
    ASKING,
    EXAM,
    GRACE,
    Office,
    Question,
    office,
    questions_of,
)
from benchmarks.closed_loop_report import BATCH, Answered, Seed, picture, read, report, table
from database.errors import VirtuousError
from database.learning import Proposal
from database.records import Run
from orchestrator.ports import ModelsPort
from orchestrator.providers import models_of
from orchestrator.settings import load_settings

QUICK = {"asked": 90, "unseen": 30, "labels": 8, "seeds": [1]}


async def one_seed(
    seed: int, models: ModelsPort, learned: Sequence[Question], unseen: Sequence[Question],
    out: Path | None = None,
) -> Seed:  # fmt: skip
    """The whole loop, once."""
    happened = Seed(seed, out)
    async with office(models) as people:
        await _exam(people, happened, "before", unseen)
        for at in range(0, len(learned), BATCH):
            await _batch(people, happened, at, learned[at : at + BATCH])
            await people.rest()
            await people.approve()
            await people.rest()
            if await _note(people, happened, at + BATCH):
                break
        await _exam(people, happened, "after", unseen)
    return happened


async def _note(office: Office, happened: Seed, asked: int) -> bool:
    """Write down where proposals are now; whether one went live."""
    proposals: list[Proposal] = await office.house.store.proposals()
    known = {(e["proposal"], e["state"]) for e in happened.events}
    for one in proposals[::-1]:
        if (one.proposal_id, one.state) not in known:
            trials = await office.house.store.trials_of(one.proposal_id)
            happened.note(
                {
                    "asked": asked,
                    "proposal": one.proposal_id,
                    "title": one.title,
                    "state": one.state,
                    "reason": one.reason,
                    "expected": dict(one.expected or {}),
                    "trials": [
                        {"method": t.method, "state": t.state, "reason": t.reason,
                         "figures": dict(t.figures)} for t in trials
                    ],
                }
            )  # fmt: skip
            print(f"seed {happened.seed}, {asked} asked: {one.state}: {one.title}", file=sys.stderr)
    return any(one.state in ("live", "verified") for one in proposals)


async def _exam(office: Office, happened: Seed, phase: str, questions: Sequence[Question]) -> None:
    """Two at a time, as the embedded model has two slots."""
    numbered = iter(list(enumerate(questions)))

    async def work(user: str) -> None:
        for number, question in numbered:
            run, seconds = await _timed(office, question, user, EXAM)
            await _judged(happened, phase, number, question, run, seconds)

    await asyncio.gather(work(GRACE), work(ALAN))
    shares = [one.lenient for one in happened.phase(phase)]
    print(f"seed {happened.seed}, {phase}: {sum(shares)}/{len(shares)} right", file=sys.stderr)


async def _batch(office: Office, happened: Seed, first: int, questions: Sequence[Question]) -> None:
    for at, question in enumerate(questions):
        user = (ADA, GRACE, ALAN)[at % 3]
        run, seconds = await _timed(office, question, user, ASKING)
        answer = await _judged(happened, "learning", first + at, question, run, seconds)
        if run.reply_ts is None:
            continue
        if answer.lenient:
            await office.praise(run, user)
        else:
            await office.correct(run, user, f"No, the right answer is {question.label}.")


async def _timed(
    office: Office, question: Question, user: str, channel: tuple[str, str]
) -> tuple[Run, float]:
    began = time.perf_counter()
    run = await office.ask(question.words, user, channel)
    return run, time.perf_counter() - began


async def _judged(
    happened: Seed, phase: str, number: int, question: Question, run: Run, seconds: float
) -> Answered:
    reply = run.reply or ""
    check = Label(kind="label", labels=question.labels, expected=question.label)
    answer = Answered(
        seed=happened.seed,
        phase=phase,
        number=number,
        request=question.text,
        label=question.label,
        reply=reply,
        agent=str((run.route or {}).get("variant") or run.agent),
        version=run.agent_version or "",
        strict=reply.strip() == question.label,
        lenient=(await judge([check], reply)).passed,
        seconds=round(seconds, 2),
    )
    happened.add(answer)
    return answer


async def run(options: argparse.Namespace) -> list[Seed]:
    """All seeds, one after the other."""
    folder = options.data / options.dataset
    happened: list[Seed] = []
    async with AsyncExitStack() as stack:
        # loaded once for all seeds
        models = await models_of(load_settings(), options.agent_model, stack)
        for seed in options.seeds:
            learned, unseen = questions_of(
                folder, options.labels, options.asked, options.unseen, seed
            )
            happened.append(await one_seed(seed, models, learned, unseen, options.out))
    return happened


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 where the gain's interval is above 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path)
    where.add_argument("--kept", type=Path, nargs="+")
    parser.add_argument("--dataset", default="banking77")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--labels", type=int, default=16)
    parser.add_argument("--asked", type=int, default=300)
    parser.add_argument("--unseen", type=int, default=200)
    parser.add_argument("--agent-model", default="small")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if options.quick:
        vars(options).update(QUICK)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        happened = read(options.kept) if options.kept else asyncio.run(run(options))
        found = report(happened)
        if options.picture:
            options.picture.write_text(picture(happened), encoding="utf-8")
    except (VirtuousError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        Console().print(table(found))
    return 0 if found["gain_low"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
