"""The closed loop's benchmark: which questions it asks, and what its figures say."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agents.checks.stated import stated_check
from benchmarks.closed_loop_people import Question, questions_of
from benchmarks.closed_loop_report import Answered, Seed, picture, read, report
from database.errors import InputError


def written(folder: Path, count: int = 400) -> Path:
    rows = [
        {
            "id": f"{n}",
            "part": "test" if n % 5 == 0 else "train",
            "text": f"message number {n % 390}",
            "intent": f"intent_{n % 20}?",
        }
        for n in range(count)
    ]
    with gzip.open(folder / "queries.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


def test_nothing_unseen_was_asked_before(tmp_path: Path) -> None:
    learned, unseen = questions_of(written(tmp_path), labels=10, asked=80, unseen=60, seed=1)
    assert (len(learned), len(unseen)) == (80, 60)
    assert not {one.text for one in learned} & {one.text for one in unseen}
    assert len({one.labels for one in (*learned, *unseen)}) == 1


def test_a_seed_gives_the_same_questions_and_another_one_others(tmp_path: Path) -> None:
    folder = written(tmp_path)
    first = questions_of(folder, 10, 50, 50, seed=1)
    assert questions_of(folder, 10, 50, 50, seed=1) == first
    assert questions_of(folder, 10, 50, 50, seed=2) != first


def test_a_folder_without_the_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"queries\.jsonl\.gz"):
        questions_of(tmp_path, 2, 1, 1, seed=1)


def test_what_people_say_is_right_can_be_checked() -> None:
    question = Question("where is my card", "card_arrival", ("age_limit", "card_arrival"))
    found = stated_check(question.words, "No, the right answer is card_arrival.")
    assert found is not None
    assert found["expected"] == "card_arrival"


def answers(seed: int, phase: str, right: int, count: int = 100) -> list[Answered]:
    return [
        Answered(seed, phase, n, "q", "a", "a", "generalist", "v", n < right - 5, n < right, 1.0)
        for n in range(count)
    ]


def happened(seed: int, before: int, after: int) -> Seed:
    found = Seed(seed)
    found.answers += answers(seed, "before", before) + answers(seed, "after", after)
    found.answers += answers(seed, "learning", 40, 60)
    return found


def test_the_gain_is_counted_question_by_question() -> None:
    found = report([happened(1, 50, 75), happened(2, 55, 76), happened(3, 60, 77)])
    assert found["n"] == 300
    assert found["accuracy_before"] == pytest.approx(0.55)
    assert found["gain"] == pytest.approx(0.21)
    assert 0.1 < found["gain_low"] < 0.21
    assert [one["gain"] for one in found["seeds"]] == pytest.approx([0.25, 0.21, 0.17])
    assert found["strict"]["accuracy_after"] == pytest.approx(0.71)


def test_no_gain_has_an_interval_around_nothing() -> None:
    assert report([happened(1, 60, 60)])["gain_low"] < 0


def test_the_picture_is_an_svg_that_names_every_seed() -> None:
    drawn = picture([happened(1, 50, 75), happened(2, 55, 76)])
    ElementTree.fromstring(drawn)
    assert "seed 1: 50% → 75% unseen" in drawn
    assert "seed 2: 55% → 76% unseen" in drawn


def test_what_was_kept_gives_the_same_figures_another_day(tmp_path: Path) -> None:
    one, broken_off = happened(1, 50, 75), happened(2, 50, 60)
    broken_off.answers = [a for a in broken_off.answers if a.phase != "after"]
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for seed, file in zip((one, broken_off), files, strict=True):
        written = Seed(seed.seed, file)
        for answer in seed.answers:
            written.add(answer)
        written.note({"asked": 60, "state": "live"})
    again = read(files)
    assert report(again) == report([replace(one, events=[{"asked": 60, "state": "live"}])])


def test_what_holds_no_whole_seed_is_said(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"seed": 1, "what": 2}\n')
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(InputError, match=r"other\.jsonl"):
        read([tmp_path / "other.jsonl"])
    with pytest.raises(InputError, match="No seed"):
        read([tmp_path / "none.jsonl"])
