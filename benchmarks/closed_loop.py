"""Does the assistant really get better by being used? The whole loop, on a real model.

`python -m benchmarks.closed_loop --data FOLDER [--dataset banking77|hwu64|clinc150] [--quick]
[--json] [--seeds 1 2 3] [--labels 16] [--asked 240] [--unseen 200] [--agent-model small|tiny]
[--picture FILE.svg] [--out FILE.jsonl]`

`--data` is the folder of the public intent sets, one folder each with `queries.jsonl.gz`. For each
seed a local workspace and the assistant as shipped, on the embedded model (or on OPENAI_BASE_URL,
if that is set). The people are simulated: they mention the assistant in a channel, ask which of the
intents that stand in the question a message is, and know the right answer. Right gets a thumb up,
wrong a thumb down and "the right answer is ...". Nothing else is told to anybody, and no answer is
scripted. They rest while learning is at work, as people do at night. Whoever may approve presses
Approve below each card that asks for it.

Before anything was learned and at the end questions are asked that nobody learns from, in a channel
that declined: the same ones both times, not among those above. `strict` is the label and nothing
else, `lenient` an answer that names no other label. What is answered is kept in `--out`.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import structlog
from rich.console import Console
from rich.table import Table

from agents.checks import judge
from agents.checks.text import Label
from benchmarks.paired import clustered_difference, paired_difference
from benchmarks.public_data import lines
from bootstrap import Assistant, assistant
from database.errors import InputError, VirtuousError
from database.learning import Proposal
from database.records import Run
from orchestrator.ports import ModelsPort
from orchestrator.providers import models_of
from orchestrator.settings import load_settings
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.manifest import manifest

ADA, GRACE, ALAN = "U0ADA", "U0GRACE", "U0ALAN"
ASKING = ("general", "C0GENERAL")
EXAM = ("engineering", "C0ENGINEERING")
"""The channel that declined to be learned from."""
IMPROVEMENTS = "C0IMPROVEMENTS"
LEARNER = "prompt-optimizer"

BATCH = 30
"""Questions between two rests."""

PATIENCE_S = 900.0
COLOURS = ("#1264a3", "#2b8a5e", "#c0254f", "#a06a00")
QUICK = {"asked": 90, "unseen": 30, "labels": 8, "seeds": [1]}


@dataclass(frozen=True, slots=True)
class Question:
    """A message whose intent is known."""

    text: str
    label: str
    labels: tuple[str, ...]

    @property
    def words(self) -> str:
        """What a person asks."""
        return f'Which of these intents is it: {", ".join(self.labels)}?\n"{self.text}"'


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer; `phase` is before, learning or after, `number` counts within it."""

    seed: int
    phase: str
    number: int
    request: str
    label: str
    reply: str
    agent: str
    version: str
    strict: bool
    lenient: bool
    seconds: float


Keep = Callable[[Answered], None]


@dataclass(slots=True)
class Seed:
    """What happened with one seed."""

    seed: int
    answers: list[Answered] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def phase(self, name: str) -> list[Answered]:
        """The answers of a phase, in the order of its questions."""
        return sorted((a for a in self.answers if a.phase == name), key=lambda one: one.number)


class Office:
    """Simulated people in a workspace in which the assistant answers."""

    def __init__(self, http: httpx.AsyncClient, house: Assistant) -> None:
        self.house = house
        self._http = http
        self._waiting: dict[str, asyncio.Future[Run]] = {}
        house.bus.on("run_recorded", self._recorded)

    async def ask(self, words: str, user: str, channel: tuple[str, str]) -> Run:
        """Mention the assistant and wait for its answer."""
        text = f"@Virtuous6 {words}"
        sent = await self._post("message", channel=channel[0], user=user, text=text)
        ts = str(sent["message"]["ts"])
        return await asyncio.wait_for(self._future(ts), PATIENCE_S)

    async def praise(self, run: Run, user: str) -> None:
        """A thumb up."""
        await self._press_thumb(run, user, "positive")

    async def correct(self, run: Run, user: str, words: str) -> None:
        """A thumb down, and what would have been right."""
        await self._press_thumb(run, user, "negative")
        view = await self._modal(user)
        values = {"words": {"text": {"type": "plain_text_input", "value": words}}}
        await self._post("submit", view_id=view["id"], user=user, values=values)
        await self._until(lambda: self._no_modal(user), "the form was taken")

    async def approve(self) -> int:
        """Press Approve below every card that asks for it; how many there were."""
        found = (await self._get(f"messages/{IMPROVEMENTS}"))["messages"]
        pressed = 0
        for message in found:
            for button in _elements(message.get("blocks", []), "button"):
                if str(button.get("action_id", "")).endswith(":approve"):
                    action = {k: button[k] for k in ("type", "action_id", "value")}
                    await self._post(
                        "interact", channel=IMPROVEMENTS, message_ts=message["ts"], user=ADA,
                        action=action,
                    )  # fmt: skip
                    pressed += 1
        return pressed

    async def rest(self) -> None:
        """Learning at work, until it has nothing more to do without new answers."""
        learning = self.house.learning
        await self.house.bus.drain(PATIENCE_S)
        await learning.shadows.done()
        await learning.improvement.cycle(LEARNER)
        await self._until(lambda: _no_cycle(self.house), "the end of a learner's cycle")
        while await learning.improvement.advance():
            pass

    async def _press_thumb(self, run: Run, user: str, which: str) -> None:
        path = f"messages/{run.channel_id}?thread_ts={run.thread_ts}"

        async def shown() -> dict[str, Any] | None:
            for message in (await self._get(path))["messages"]:
                if message["ts"] == run.reply_ts:
                    found = _elements(message.get("blocks", []), "feedback_buttons")
                    return found[0] if found else None
            return None

        element = await self._until(shown, "buttons below the answer")
        action = {
            "type": "feedback_buttons",
            "action_id": element["action_id"],
            "value": element[f"{which}_button"]["value"],
        }
        await self._post(
            "interact", channel=run.channel_id, message_ts=run.reply_ts, user=user, action=action
        )

    async def _modal(self, user: str) -> dict[str, Any]:
        async def opened() -> dict[str, Any] | None:
            modals: list[dict[str, Any]] = (await self._get(f"views/{user}"))["modals"]
            return modals[-1] if modals else None

        found: dict[str, Any] = await self._until(opened, "a form that asks why")
        return found

    async def _no_modal(self, user: str) -> bool:
        return not (await self._get(f"views/{user}"))["modals"]

    async def _until(self, condition: Callable[[], Awaitable[Any]], what: str) -> Any:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (value := await condition()):  # noqa: ASYNC110 (what people see)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise InputError(f"This never happened: {what}.") from None
        return value

    def _future(self, ts: str) -> asyncio.Future[Run]:
        return self._waiting.setdefault(ts, asyncio.get_running_loop().create_future())

    async def _recorded(self, run: Run) -> None:
        if run.kind == "reply" and run.message_ts:
            future = self._future(run.message_ts)
            if not future.done():
                future.set_result(run)

    async def _post(self, path: str, **fields: Any) -> dict[str, Any]:
        answer = await self._http.post(f"/_control/{path}", json=fields)
        answer.raise_for_status()
        return dict(answer.json())

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self._http.get(f"/_control/{path}")
        answer.raise_for_status()
        return dict(answer.json())


async def _no_cycle(house: Assistant) -> bool:
    return not house.learning.loop.cycles.running


def _elements(value: Any, kind: str) -> list[dict[str, Any]]:
    """Elements and blocks of a kind, however deep."""
    if isinstance(value, list):
        return [found for one in value for found in _elements(one, kind)]
    if not isinstance(value, dict):
        return []
    own = [value] if value.get("type") == kind else []
    return own + [found for child in value.values() for found in _elements(child, kind)]


def questions_of(
    folder: Path, labels: int, asked: int, unseen: int, seed: int
) -> tuple[list[Question], list[Question]]:
    """Questions to learn from, of the set's training part, and unseen ones, of its test part first.

    The labels are drawn by the seed; nothing is in both.
    """
    rows = [
        {**row, "intent": row["intent"].strip("?").lower()}
        for row in lines(folder / "queries.jsonl.gz")
        if row["intent"] != "oos"
    ]
    rng = random.Random(seed)
    some = sorted(rng.sample(sorted({row["intent"] for row in rows}), labels))
    chosen = [row for row in rows if row["intent"] in some]
    rng.shuffle(chosen)
    seen: set[str] = set()
    train: list[Question] = []
    test: list[Question] = []
    for row in chosen:
        text = " ".join(row["text"].split())
        if text.casefold() not in seen:
            seen.add(text.casefold())
            side = train if row["part"] == "train" else test
            side.append(Question(text, row["intent"], tuple(some)))
    learned, rest = train[:asked], train[asked:]
    return learned, [*test, *rest][:unseen]


async def one_seed(
    seed: int, models: ModelsPort, learned: Sequence[Question], unseen: Sequence[Question],
    keep: Keep,
) -> Seed:  # fmt: skip
    """The whole loop, once."""
    happened = Seed(seed)
    async with _office(models) as office:
        await _exam(office, happened, "before", unseen, keep)
        for at in range(0, len(learned), BATCH):
            await _batch(office, happened, at, learned[at : at + BATCH], keep)
            await office.rest()
            await office.approve()
            await office.rest()
            if await _note(office, happened, at + BATCH):
                break
        await _exam(office, happened, "after", unseen, keep)
    return happened


async def _note(office: Office, happened: Seed, asked: int) -> bool:
    """Write down where proposals are now; whether one went live."""
    proposals: list[Proposal] = await office.house.store.proposals()
    known = {(e["proposal"], e["state"]) for e in happened.events}
    for one in proposals[::-1]:
        if (one.proposal_id, one.state) not in known:
            trials = await office.house.store.trials_of(one.proposal_id)
            happened.events.append(
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


async def _exam(
    office: Office, happened: Seed, phase: str, questions: Sequence[Question], keep: Keep
) -> None:
    """Two at a time, as the embedded model has two slots."""
    numbered = iter(list(enumerate(questions)))

    async def work(user: str) -> None:
        for number, question in numbered:
            run, seconds = await _timed(office, question, user, EXAM)
            keep(await _judged(happened, phase, number, question, run, seconds))

    await asyncio.gather(work(GRACE), work(ALAN))
    shares = [one.lenient for one in happened.phase(phase)]
    print(f"seed {happened.seed}, {phase}: {sum(shares)}/{len(shares)} right", file=sys.stderr)


async def _batch(
    office: Office, happened: Seed, first: int, questions: Sequence[Question], keep: Keep
) -> None:
    for at, question in enumerate(questions):
        user = (ADA, GRACE, ALAN)[at % 3]
        run, seconds = await _timed(office, question, user, ASKING)
        answer = await _judged(happened, "learning", first + at, question, run, seconds)
        keep(answer)
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
    happened.answers.append(answer)
    return answer


@asynccontextmanager
async def _office(models: ModelsPort) -> AsyncIterator[Office]:
    """A new workspace with the assistant as shipped in it, in a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        async with (
            LocalWorkspace(manifest=manifest(), pacing=False) as workspace,
            httpx.AsyncClient(base_url=workspace.url, timeout=60) as http,
        ):
            settings = load_settings(
                slack_api_url=workspace.api_url,
                slack_bot_token=workspace.bot_token,
                slack_app_token=workspace.app_token,
                virtuous6_home=Path(home),
                virtuous6_approvers=ADA,
                virtuous6_improvements_channel=IMPROVEMENTS,
            )
            async with assistant(settings, models=models) as house:
                await house.policy.set(f"learning.{EXAM[1]}", "no", ADA)
                yield Office(http, house)


def report(happened: Sequence[Seed]) -> dict[str, Any]:
    """The figures of each seed and of all together; the interval of `gain` is 95%.

    Over several seeds each counts the same and the interval holds what differs between them.
    """
    seeds = [_figures(one) for one in happened]
    found: dict[str, Any] = {"seeds": seeds}
    for kind in ("lenient", "strict"):
        clusters = [_pairs(one, kind) for one in happened]
        pairs = [pair for cluster in clusters for pair in cluster]
        pooled = paired_difference(pairs)
        spread = clustered_difference(clusters) if len(clusters) > 1 else pooled
        found[kind] = {
            "accuracy_before": sum(before for _, before in pairs) / len(pairs),
            "accuracy_after": sum(after for after, _ in pairs) / len(pairs),
            "gain": pooled.difference,
            "gain_low": pooled.low,
            "gain_high": pooled.high,
            "gain_low_over_seeds": spread.low,
            "n": len(pairs),
        }
    return {**found["lenient"], **found}


def _figures(one: Seed) -> dict[str, Any]:
    found: dict[str, Any] = {"seed": one.seed}
    for kind in ("lenient", "strict"):
        pairs = _pairs(one, kind)
        difference = paired_difference(pairs)
        figures = {
            "accuracy_before": sum(before for _, before in pairs) / len(pairs),
            "accuracy_after": sum(after for after, _ in pairs) / len(pairs),
            "gain": difference.difference,
            "gain_low": difference.low,
            "n": len(pairs),
        }
        found[kind] = figures
        if kind == "lenient":
            found |= figures
    learning = one.phase("learning")
    found["asked"] = len(learning)
    found["curve"] = [
        sum(a.lenient for a in learning[at : at + BATCH]) / len(learning[at : at + BATCH])
        for at in range(0, len(learning), BATCH)
    ]
    found["seconds_before"] = _mean_seconds(one.phase("before"))
    found["seconds_after"] = _mean_seconds(one.phase("after"))
    found["events"] = one.events
    return found


def _pairs(one: Seed, kind: str) -> list[tuple[bool, bool]]:
    """Whether each unseen question was answered right after and before."""
    before, after = one.phase("before"), one.phase("after")
    return [
        (bool(getattr(a, kind)), bool(getattr(b, kind))) for a, b in zip(after, before, strict=True)
    ]


def _mean_seconds(answers: Sequence[Answered]) -> float:
    return round(sum(a.seconds for a in answers) / len(answers), 2) if answers else 0.0


def picture(happened: Sequence[Seed]) -> str:
    """The learning curve as SVG: right answers a batch, unseen questions before and after."""
    figures = [_figures(one) for one in happened]
    most = max(one["asked"] for one in figures) or 1

    def place(asked: float, share: float) -> str:
        return f"{60 + 560 * asked / most:.1f},{320 - 280 * share:.1f}"

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 370" font-family="sans-serif" '
        'font-size="13"><rect width="860" height="370" fill="#fff"/>'
    ]
    for share in range(0, 101, 20):
        y = 320 - 2.8 * share
        parts.append(
            f'<path d="M60 {y}H620" stroke="#ddd"/><text x="52" y="{y + 4}" text-anchor="end">'
            f"{share}%</text>"
        )
    for asked in range(0, most + 1, 2 * BATCH):
        x = 60 + 560 * asked / most
        parts.append(f'<text x="{x}" y="340" text-anchor="middle">{asked}</text>')
    parts.append('<text x="340" y="362" text-anchor="middle">questions that people asked</text>')
    for at, (one, found) in enumerate(zip(happened, figures, strict=True)):
        colour = COLOURS[at % len(COLOURS)]
        middles = [min(BATCH * (n + 0.5), found["asked"]) for n in range(len(found["curve"]))]
        points = " ".join(map(place, middles, found["curve"]))
        ends = place(0, found["accuracy_before"]), place(found["asked"], found["accuracy_after"])
        words = f"{found['accuracy_before']:.0%} → {found['accuracy_after']:.0%} unseen"
        parts.append(
            f'<g stroke="{colour}" fill="none"><polyline points="{points}" opacity=".5"/>'
            f'<polyline points="{ends[0]} {ends[1]}" stroke-width="2.5" '
            f'stroke-dasharray="7 4"/></g>'
        )
        for end in ends:
            across, down = end.split(",")
            parts.append(f'<circle cx="{across}" cy="{down}" r="5" fill="{colour}"/>')
        parts.append(
            f'<text x="640" y="{60 + 26 * at}" fill="{colour}">seed {one.seed}: {words}</text>'
        )
    parts.append(
        '<text x="640" y="310">solid: answers while people asked</text>'
        '<text x="640" y="330">dashed: the unseen questions</text></svg>'
    )
    return "".join(parts)


def table(found: Mapping[str, Any]) -> Table:
    """The figures for a terminal."""
    shown = Table(title="Unseen questions answered right")
    for column in ("", "n", "before", "after", "gain", "95% from", "strict gain"):
        shown.add_column(column, justify="right")
    rows = [*((f"seed {one['seed']}", one) for one in found["seeds"]), ("all", found)]
    for name, row in rows:
        shown.add_row(
            name, str(row["n"]), f"{row['accuracy_before']:.1%}", f"{row['accuracy_after']:.1%}",
            f"{100 * row['gain']:+.1f}", f"{100 * row['gain_low']:+.1f}",
            f"{100 * row['strict']['gain']:+.1f}",
        )  # fmt: skip
    return shown


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """All seeds, one after the other."""
    folder = options.data / options.dataset
    happened: list[Seed] = []
    async with AsyncExitStack() as stack:
        keep = stack.enter_context(_kept(options.out))
        # loaded once for all seeds
        models = await models_of(load_settings(), options.agent_model, stack)
        for seed in options.seeds:
            learned, unseen = questions_of(
                folder, options.labels, options.asked, options.unseen, seed
            )
            happened.append(await one_seed(seed, models, learned, unseen, keep))
    if options.picture:
        options.picture.write_text(picture(happened), encoding="utf-8")
    shape = {"dataset": options.dataset, "labels": options.labels, "model": options.agent_model}
    return {**shape, **report(happened)}


@contextmanager
def _kept(path: Path | None) -> Iterator[Keep]:
    """Writes each answer down at once, if there is a file for them."""
    if path is None:
        yield lambda answer: None
        return
    with path.open("a", encoding="utf-8") as file:

        def keep(answer: Answered) -> None:
            file.write(json.dumps(asdict(answer), ensure_ascii=False) + "\n")
            file.flush()

        yield keep


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 where the gain's interval is above 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop")
    parser.add_argument("--data", type=Path, required=True)
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
        found = asyncio.run(run(options))
    except VirtuousError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        Console().print(table(found))
    return 0 if found["gain_low"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
