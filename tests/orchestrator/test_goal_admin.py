"""What the command line and the doctor know of goals, without an assistant running."""

import json
from pathlib import Path

import pytest

from database.errors import InputError, NotAllowed, UnknownName
from database.goals import Goal, Task
from goals.ledger import Ledger
from orchestrator import administration
from orchestrator.administration import FIRST_WORKSPACE
from orchestrator.goal_admin import (
    account,
    cancel_goal,
    described,
    export_goals,
    goal_json,
    goals_there,
    known_goal,
)
from orchestrator.goal_replies import answer_run_id
from orchestrator.settings import Settings, load_settings
from tests.people import ADA, GRACE


@pytest.fixture
async def settings(home: Path) -> Settings:
    """A home with two goals of Ada's, one of which waits for her."""
    ledger = Ledger.open(home)
    goals = ledger.of(FIRST_WORKSPACE)
    tasks = (Task("s1", 1, "Write", "Write it.", "writer"),)
    for name, state in (("aaaaaa-1", "running"), ("aaaaaa-2", "waiting")):
        await goals.create(
            Goal(name, ADA, "do it", "r", state=state, tasks=tasks)  # type: ignore[arg-type]
        )
    await ledger.close()
    return load_settings(virtuous6_home=home)


async def test_goals_are_found_by_the_beginning_of_their_id(settings: Settings) -> None:
    assert len(await goals_there(settings, None)) == 2
    assert (await known_goal(settings, None, "aaaaaa-1")).state == "running"
    with pytest.raises(UnknownName, match="Several goals begin with aaaaaa"):
        await known_goal(settings, None, "aaaaaa")
    for unknown in ("aaa", "bbbbbbbb"):
        with pytest.raises(UnknownName, match="goals status"):
            await known_goal(settings, None, unknown)


async def test_whoever_asked_or_an_approver_ends_a_goal(settings: Settings) -> None:
    named = settings.model_copy(update={"virtuous6_approvers": "U0BOSS"})
    for person, told in ((None, "--as USER"), (GRACE, "approvers end a goal")):
        with pytest.raises(NotAllowed, match=told):
            await cancel_goal(named, None, "aaaaaa-1", person)
    assert (await cancel_goal(named, None, "aaaaaa-1", ADA)).state == "cancelled"
    assert (await cancel_goal(named, None, "aaaaaa-2", "U0BOSS")).reason == "ended by U0BOSS"
    with pytest.raises(InputError, match="over already"):
        await cancel_goal(settings, None, "aaaaaa-1", None)


async def test_a_goal_that_is_ended_here_is_in_the_record(settings: Settings) -> None:
    """Nobody has worked on it, so nobody else would record that."""
    ended = await cancel_goal(settings, None, "aaaaaa-1", ADA)
    async with administration.opened(settings, None) as store:
        run = await store.run(answer_run_id(ended))
    assert run is not None
    assert (run.parent_run_id, run.error) == ("r", f"cancelled: ended by {ADA}")


async def test_the_doctor_counts_goals_and_who_works_on_them(settings: Settings) -> None:
    [check] = await described(settings)
    assert check.status == "ok"
    assert "1 under way, 1 wait for people, 0 processes at work" in check.detail
    assert await described(load_settings(virtuous6_home=settings.home / "empty")) == []


async def test_the_doctor_says_when_the_engine_is_away_or_elsewhere(home: Path) -> None:
    away = "postgresql://nobody:secret@127.0.0.1:1/goals"
    [check] = await described(load_settings(virtuous6_home=home, virtuous6_engine_url=away))
    assert check.status == "failed"
    assert "secret" not in check.detail


async def test_the_doctor_says_what_an_engine_that_came_later_leaves_behind(
    settings: Settings,
) -> None:
    engine = "postgresql://nobody:secret@127.0.0.1:1/goals"
    later = load_settings(virtuous6_home=settings.home, virtuous6_engine_url=engine)
    _, left = await described(later)
    assert (left.status, left.needed) == ("failed", False)
    assert "goals.db holds 1 under way and 1 that wait for people" in left.detail
    assert "without VIRTUOUS6_ENGINE_URL until they have ended" in left.advice


async def test_a_person_is_given_their_goals(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "ada.goals.jsonl"
    assert await export_goals(settings, FIRST_WORKSPACE, ADA, file) == 2
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["goal_id"] for line in lines} == {"aaaaaa-1", "aaaaaa-2"}
    assert lines[0]["tasks"][0]["instruction"] == "Write it."
    assert await export_goals(settings, FIRST_WORKSPACE, GRACE, tmp_path / "grace") == 0
    assert not (tmp_path / "grace").exists()
    with pytest.raises(InputError, match="Name another"):
        await export_goals(settings, FIRST_WORKSPACE, ADA, tmp_path / "no" / "such")


async def test_forgetting_a_person_takes_their_goals(settings: Settings) -> None:
    report = await administration.forget(settings, None, ADA)
    assert report.rows["under way"] == 2
    assert await goals_there(settings, None) == []


def test_a_goal_as_json_holds_what_it_took() -> None:
    goal = Goal("g", ADA, "do it", "r", reader_channels=frozenset({"C2", "C1"}))
    assert goal_json(goal)["reader_channels"] == ["C1", "C2"]
    assert goal_json(goal)["spent"] == {"seconds": 0.0, "tokens": 0, "usd": 0.0}
    assert account(goal).startswith("Took 0 s of work, 0 tokens; expected 20 s")
