"""What is new for a learner: in the order of the record, of those who may be learned from."""

import random
from dataclasses import replace
from typing import Any

from database.learning import WindowRows
from database.records import Feedback, Person, Run, Step
from database.store import Store

STEPS = (Step(0, "model", "m", None, True), Step(1, "tool", "search", {"words": "a"}, False, "no"))


def run(n: int, **changes: Any) -> Run:
    made = Run(f"r{n}", f"ask {n}", "poet", started_at=1e9 - n, user_id=f"U{n % 3}",
               channel_id=f"C{n % 2}", route={"why": "x"}, steps=STEPS)  # fmt: skip
    return replace(made, **changes)


def said(name: str, about: int, user: str = "U9", value: float = -1.0) -> Feedback:
    return Feedback(name, f"r{about}", "reason", value, text="why", user_id=user, created_at=5.0)


async def start(store: Store) -> tuple[int, int]:
    """The watermarks now: at Supabase numbers go on from test to test."""
    found = await store.window(0, 0)
    return found.runs_seen, found.feedback_seen


async def test_new_runs_come_once_in_the_order_of_the_record(store: Store) -> None:
    at = await start(store)
    store.append(*(run(n) for n in range(3)), said("f1", 1), said("f0", 1))
    found = await store.window(*at)
    assert found.runs == tuple(run(n) for n in range(3))
    assert {k: [f.feedback_id for f in v] for k, v in found.feedback.items()} == {
        "r1": ["f0", "f1"]
    }
    assert (found.older, found.more) == ((), False)
    after = await store.window(found.runs_seen, found.feedback_seen)
    assert after == WindowRows((), {}, (), found.runs_seen, found.feedback_seen)


async def test_new_feedback_brings_the_older_run_with_all_its_feedback(store: Store) -> None:
    at = await start(store)
    store.append(run(1), run(2), said("f1", 1), said("early", 7))
    seen = await store.window(*at)
    store.append(said("f2", 1), run(7), said("f3", 7))
    found = await store.window(seen.runs_seen, seen.feedback_seen)
    assert [r.run_id for r in found.runs] == ["r7"]
    assert found.older == (run(1),)
    names = {k: [f.feedback_id for f in v] for k, v in found.feedback.items()}
    assert names == {"r1": ["f1", "f2"], "r7": ["early", "f3"]}


async def test_what_learning_does_itself_is_not_learned_from_unless_asked(store: Store) -> None:
    at = await start(store)
    store.append(run(1, kind="shadow"), run(2, kind="task"), run(3, kind="review"), said("f", 3))
    found = await store.window(*at)
    assert [r.run_id for r in found.runs] == ["r2"]
    assert (found.older, dict(found.feedback)) == ((), {})
    again = await store.window(found.runs_seen, found.feedback_seen)
    assert again.runs == ()
    asked = await store.window(*at, kinds=("shadow", "review"))
    assert [r.run_id for r in asked.runs] == ["r1", "r3"]


async def test_who_declines_is_left_out_with_all_that_rests_on_them(store: Store) -> None:
    at = await start(store)
    await store.save_person(Person("U1", "Ada", {"learning": "no"}))
    await store.policy.add("learning.C1", "no", "U9")
    store.append(
        run(0),
        run(1, channel_id="C0"),
        run(2, channel_id="C1"),
        run(3, user_id=None, channel_id=None, kind="task", parent_run_id="r1"),
        run(4, user_id=None, channel_id=None, kind="task", parent_run_id="r3"),
        run(5, user_id="U2", channel_id=None, kind="task", parent_run_id="r0"),
        said("hers", 0, "U1"), said("his", 0, "U2"), said("of hers", 1, "U2"),
    )  # fmt: skip
    found = await store.window(*at)
    assert [r.run_id for r in found.runs] == ["r0", "r5"]
    assert {k: [f.feedback_id for f in v] for k, v in found.feedback.items()} == {"r0": ["his"]}
    await store.save_person(Person("U1", "Ada"))
    store.append(said("later", 1, "U2"))
    later = await store.window(found.runs_seen, found.feedback_seen)
    assert [r.run_id for r in later.older] == ["r1"]


async def test_a_window_is_never_larger_than_asked(store: Store) -> None:
    at = await start(store)
    store.append(*(run(n) for n in range(12)), *(said(f"f{n}", n) for n in range(7)))
    found = await store.window(*at, limit=5)
    assert [r.run_id for r in found.runs] == [f"r{n}" for n in range(5)]
    assert found.more
    found = await store.window(found.runs_seen, found.feedback_seen, limit=5)
    assert [r.run_id for r in found.runs] == [f"r{n}" for n in range(5, 10)]
    assert found.more
    found = await store.window(found.runs_seen, found.feedback_seen, limit=5)
    assert [r.run_id for r in found.runs] == ["r10", "r11"]
    assert not found.more


async def test_windows_of_any_size_show_everything_once(store: Store) -> None:
    """Whatever comes between two looks, and however many others' runs lie between."""
    chance = random.Random(5)
    at = await start(store)
    expected, shown = 0, []
    heard: set[str] = set()
    for turn in range(8):
        fresh = chance.randrange(6)
        store.append(*(run(expected + n) for n in range(fresh)))
        expected += fresh
        if expected:
            store.append(said(f"t{turn}", chance.randrange(expected)))
        found = await store.window(*at, limit=chance.randrange(2, 5))
        at = found.runs_seen, found.feedback_seen
        shown += [r.run_id for r in found.runs]
        heard |= {f.feedback_id for entries in found.feedback.values() for f in entries}
    while found.more:
        found = await store.window(*at, limit=3)
        at = found.runs_seen, found.feedback_seen
        shown += [r.run_id for r in found.runs]
        heard |= {f.feedback_id for entries in found.feedback.values() for f in entries}
    assert shown == [f"r{n}" for n in range(expected)]
    assert {name for name in heard if name.startswith("t")} >= {"t7", "t6"}
