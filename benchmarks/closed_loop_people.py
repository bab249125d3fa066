"""The people of the closed loop's benchmark: what they ask, press and say in a local workspace."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.local_house import local_house
from benchmarks.public_data import lines
from bootstrap import Assistant
from database.errors import InputError
from database.records import Run
from orchestrator.ports import ModelsPort

ADA, GRACE, ALAN = "U0ADA", "U0GRACE", "U0ALAN"
ASKING = ("general", "C0GENERAL")
EXAM = ("engineering", "C0ENGINEERING")
"""The channel that declined to be learned from."""
IMPROVEMENTS = "C0IMPROVEMENTS"
LEARNER = "prompt-optimizer"

PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class Question:
    """A message whose intent is known."""

    text: str
    label: str
    labels: tuple[str, ...]

    @property
    def words(self) -> str:
        """What a person asks."""
        return f'Label this customer message with one of: {", ".join(self.labels)}.\n"{self.text}"'


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


@asynccontextmanager
async def office(models: ModelsPort) -> AsyncIterator[Office]:
    """A new workspace with the assistant as shipped in it, in a home of its own."""
    settings = {
        "virtuous6_approvers": ADA,
        "virtuous6_improvements_channel": IMPROVEMENTS,
    }
    async with local_house(models, **settings) as (house, http):
        await house.policy.set(f"learning.{EXAM[1]}", "no", ADA)
        yield Office(http, house)
