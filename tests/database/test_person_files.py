"""A person gets everything that is kept about them, and nothing of anybody else."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from database import known
from database.errors import InputError, StoreError
from database.forgetting import THEIRS
from database.person_files import beside, export_person
from database.records import (
    Feedback,
    Message,
    Person,
    Run,
    Step,
    Summary,
    one_person,
    private_channel,
)
from database.run_files import import_runs
from database.store import Store

THREAD = "100.000001"
OWN = one_person("U0ADA")
PRIVATE = private_channel("C9")


async def fill(store: Store) -> None:
    """Hers says "hers" everywhere, his says "his"."""
    store.append(
        Run("r1", "hers: asked", "a", started_at=1.7e9, user_id="U0ADA", channel_id="C9",
            thread_ts=THREAD, audience=PRIVATE, reply="hers: told", error="hers: cut",
            route={"why": "hers: route"},
            steps=(Step(0, "tool", "search", {"words": "hers: step"}, ok=True),)),
        Run("r2", "hers: asked", "b", kind="shadow", parent_run_id="r1"),
        Run("r3", "his: asked", "a", started_at=1.7e9, user_id="U0BOB", reply="his: told"),
        Message("C9", THREAD, THREAD, "person", "hers: said", "U0ADA", audience=PRIVATE),
        Message("C9", "100.000002", THREAD, "assistant", "hers: told", run_id="r1",
                audience=PRIVATE),
        Message("C9", "100.000003", THREAD, "person", "his: said", "U0BOB", audience=PRIVATE),
        Message("D1", "100.000004", "100.000004", "person", "hers: gone", "U0ADA", audience=OWN),
        Summary("C9", THREAD, THREAD, "hers: in short", PRIVATE, 1.0),
        Feedback("f1", "r3", "reason", -1.0, text="hers: why", user_id="U0ADA", created_at=1.0),
        Feedback("f2", "r1", "reason", -1.0, text="his: why", user_id="U0BOB", created_at=2.0),
    )  # fmt: skip
    await store.delete_message("D1", "100.000004")
    await store.save_person(Person("U0ADA", "Ada", {"about": "hers: settings"}))
    await store.save_person(Person("U0BOB", "Bob", {"about": "his: settings"}))
    await store.policy.add("approvers", "U0ADA", "U0ADA")
    await store.policy.add("pause", "1", "U0BOB")
    for owner, author in (("hers", "U0ADA"), ("his", "U0BOB")):
        await store.create_document("runbook", owner, {"say": f"{owner}: runbook"},
                                    origin="person", author=author)  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", ["ada.jsonl", "ada.jsonl.gz"])
async def test_everything_about_a_person_and_nothing_else(
    store: Store, tmp_path: Path, name: str
) -> None:
    await fill(store)

    report = await export_person(store, tmp_path / name, "U0ADA")

    lines = read(report.everything)
    assert report.kept == {
        "person": 1, "run": 2, "message": 3, "summary": 1, "feedback": 1, "document": 1,
        "policy": 1,
    }  # fmt: skip
    assert [next(iter(line)) for line in lines] == [
        kind for kind, count in report.kept.items() for _ in range(count)
    ]
    words = json.dumps(lines)
    for said in ("asked", "told", "cut", "route", "step", "said", "in short", "why", "settings",
                 "runbook"):  # fmt: skip
        assert f"hers: {said}" in words
    assert "his:" not in words
    assert "gone" not in words, "of a message that was deleted only the place is kept"
    first = lines[1]["run"]
    assert (first["thread_ts"], first["audience"]) == (THREAD, "channel:C9")
    assert first["steps"][0]["arguments"] == {"words": "hers: step"}
    assert report.everything.stat().st_mode & 0o777 == 0o600


async def test_the_first_file_is_runs_that_can_be_imported_and_the_second_is_refused(
    store: Store, tmp_path: Path
) -> None:
    await fill(store)
    path = tmp_path / "ada.jsonl"
    report = await export_person(store, path, "U0ADA")
    assert report.runs == len(read(path)) == 1
    assert report.everything == beside(path) == tmp_path / "ada.everything.jsonl"
    other = Store.open(tmp_path / "other", "T2")
    assert (await import_runs(other, path)).added == 1
    with pytest.raises(InputError, match="unknown key person"):
        await import_runs(other, report.everything)
    await other.close()


async def test_of_a_stranger_there_is_nothing(store: Store, tmp_path: Path) -> None:
    await fill(store)
    report = await export_person(store, tmp_path / "x.jsonl", "U0EVE")
    assert (report.runs, report.kept, read(report.everything)) == (0, {}, [])


async def test_after_forgetting_nothing_is_left_to_export(store: Store) -> None:
    await fill(store)
    await store.forget("U0ADA")
    assert await store.everything_about("U0ADA") == []


async def test_a_place_that_cannot_be_written_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="could not be written"):
        await export_person(store, tmp_path / "no" / "ada.jsonl", "U0ADA")


def test_whatever_is_theirs_to_be_forgotten_is_theirs_to_have() -> None:
    made_of_others = {"day_counts", "audit_people"}
    learned = {"proposals", "findings"}
    assert set(THEIRS) | learned == set(known.READ) | {"runs", "steps"} | made_of_others
