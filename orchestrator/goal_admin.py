"""What the command line does with goals, without an assistant running."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from database.errors import InputError, NotAllowed, StaleRevision, VirtuousError
from database.goals import Goal
from database.privacy import Redactor
from database.records import Reader, one_person, random_run_id
from database.store import Store
from goals import task_graph
from goals.figures import load
from goals.finding import like
from goals.ledger import FILE, Goals, Ledger
from orchestrator.administration import opened
from orchestrator.check import Check
from orchestrator.goal_replies import replies_at_the_end
from orchestrator.own_data import goals_as_lines
from orchestrator.policy import COMMAND_LINE, Policy
from orchestrator.requests import Request
from orchestrator.settings import Settings

_RACES = 20


@dataclass(frozen=True, slots=True)
class _There:
    """A workspace's record and goals."""

    store: Store
    goals: Goals


def request_of(text: str, person: str | None) -> Request:
    """A request from the command line: nobody's message, and nobody else reads the answer."""
    who = person or COMMAND_LINE
    return Request(
        run_id=random_run_id(),
        user_id=who,
        channel_id="",
        thread_ts="",
        message_ts="",
        text=text,
        reader=Reader(who),
        received_at=time.time(),
        audience=one_person(who),
    )


async def goals_there(settings: Settings, workspace: str | None) -> list[Goal]:
    """The newest goals."""
    async with _opened(settings, workspace) as there:
        return list(await there.goals.goals(limit=100))


async def known_goal(settings: Settings, workspace: str | None, beginning: str) -> Goal:
    """The goal whose id begins so. Raises UnknownName."""
    async with _opened(settings, workspace) as there:
        return await like(there.goals, beginning)


async def cancel_goal(
    settings: Settings, workspace: str | None, beginning: str, person: str | None
) -> Goal:
    """End a goal; whoever works on it notices within seconds.

    Raises UnknownName, InputError where it has ended, NotAllowed for who neither asked for it nor
    is an approver, where some are named.
    """
    who = person or COMMAND_LINE
    async with _opened(settings, workspace) as there:
        approvers = Policy(there.store.policy).approvers or settings.approvers
        for _ in range(_RACES):
            goal = await like(there.goals, beginning)
            if approvers and who not in (*approvers, goal.user_id):
                told = "Say who ends it with --as USER. " if who == COMMAND_LINE else ""
                raise NotAllowed(f"{told}Only who asked for it and approvers end a goal.")
            try:
                ended = task_graph.cancel(goal, f"ended by {who}", time.time())
                ended = await there.goals.move(ended)
            except StaleRevision:
                continue
            redactor = Redactor()
            for reply in replies_at_the_end(ended):
                there.store.append(redactor.redact_run(reply.run))
            return ended
        raise StaleRevision("Too many others are moving this goal: try again in a moment.")


async def export_goals(settings: Settings, workspace: str, user_id: str, file: Path) -> int:
    """Write a person's goals, one JSON object a line; how many, and no file for none.

    Raises InputError when the file cannot be written.
    """
    ledger = _ledger(settings, settings.engine_url)
    try:
        lines = await goals_as_lines(ledger.of(workspace), user_id)
        if lines:
            await asyncio.to_thread(file.write_bytes, lines)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}. Name another.") from None
    finally:
        await ledger.close()
    return lines.count(b"\n")


def goal_json(goal: Goal) -> dict[str, Any]:
    """A goal as JSON: all of it, with what it has taken so far."""
    answer = goal.tasks[-1].result if goal.tasks and goal.state == "done" else None
    kept = asdict(goal)
    kept |= {name: sorted(kept[name]) for name in ("reader_channels", "lost_channels")}
    return kept | {"spent": asdict(goal.spent), "answer": answer}


def account(goal: Goal) -> str:
    """What it took against what was expected, in a sentence."""
    took, expected = goal.spent, goal.estimate
    usd = f", ${took.usd:.4f}" if took.usd else ""
    wished = f", ${expected.usd:.4f}" if expected.usd else ""
    return (
        f"Took {took.seconds:,.0f} s of work, {took.tokens:,} tokens{usd}; expected "
        f"{expected.seconds:,.0f} s, {expected.tokens:,} tokens{wished}."
    )


async def described(settings: Settings) -> list[Check]:
    """What `doctor` says of goals; nothing where there are none and no engine is named."""
    if settings.engine_url is None and not (settings.home / FILE).is_file():
        return []
    return [*await _engine(settings), *await _left_behind(settings)]


async def _left_behind(settings: Settings) -> list[Check]:
    """The goals of the time before there was an engine database, which nobody works on."""
    file = settings.home / FILE
    if settings.engine_url is None or not file.is_file():
        return []
    ledger = _ledger(settings, None)
    try:
        found = await load(ledger)
        said = f"{found.under_way} under way and {found.waiting} that wait for people"
    except VirtuousError as error:
        said = f"goals that cannot be read ({error})"
    finally:
        await ledger.close()
    advice = (
        "Start without VIRTUOUS6_ENGINE_URL until they have ended, or ask for them again; then "
        f"delete {file}: nobody is forgotten in it."
    )
    said = f"{file} holds {said}; nothing works on them while VIRTUOUS6_ENGINE_URL is set"
    return [Check("goals left behind", "failed", said, advice, needed=False)]


async def _engine(settings: Settings) -> list[Check]:
    ledger = _ledger(settings, settings.engine_url)
    where = "VIRTUOUS6_ENGINE_URL" if settings.engine_url else str(settings.home / FILE)
    try:
        found = await load(ledger)
    except VirtuousError as error:
        advice = "See that the database is there and may be written, and that the key is its own."
        return [Check("goals", "failed", f"{where}: {error}", advice)]
    finally:
        await ledger.close()
    alone = settings.engine_elsewhere and settings.supabase_url is None
    said = (
        f"{found.under_way} under way, {found.waiting} wait for people, {found.workers} processes "
        f"at work, kept in {where}"
    )
    if alone:
        advice = "Workers on other machines need SUPABASE_URL; without it only this one may work."
        return [Check("goals", "failed", said, advice, needed=False)]
    return [Check("goals", "ok", said)]


@asynccontextmanager
async def _opened(settings: Settings, workspace: str | None) -> AsyncIterator[_There]:
    async with opened(settings, workspace) as store:
        ledger = _ledger(settings, settings.engine_url)
        try:
            yield _There(store, ledger.of(store.workspace))
        finally:
            await ledger.close()


def _ledger(settings: Settings, url: str | None) -> Ledger:
    key = settings.virtuous6_secret_key
    return Ledger.open(settings.home, url, key.get_secret_value() if key else None)
