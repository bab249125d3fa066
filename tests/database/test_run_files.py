"""Runs as files: what goes out comes back, and a bad line keeps nothing of its file."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from database.errors import InputError, StoreError
from database.records import PUBLIC, ImportReport, Outcome, Run, RunQuery, Step
from database.run_files import export_runs, import_runs
from database.store import Store

LINE: dict[str, Any] = {
    "run_id": "r1",
    "parent_run_id": None,
    "kind": "task",
    "started_at": "2026-11-21T09:00:00+00:00",
    "duration_ms": 12.5,
    "user": "U1",
    "channel": "C1",
    "request": "book a table",
    "task_type": "booking",
    "agent": "planner",
    "agent_version": "abc",
    "model": "strong-1",
    "steps": [
        {"kind": "tool", "name": "book", "arguments": {"people": 2}, "ok": True, "error": None,
         "duration_ms": 3, "input_tokens": None, "output_tokens": None, "cost_usd": None},
        {"kind": "model", "name": "strong-1", "arguments": None, "ok": None, "error": None,
         "duration_ms": None, "input_tokens": 10, "output_tokens": 5, "cost_usd": 0.5},
    ],
    "outcome": {"success": True, "score": 0.5, "source": "check"},
    "reply": "done",
}  # fmt: skip


def write(path: Path, *lines: dict[str, Any] | str | bytes) -> Path:
    texts = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    data = b"\n".join(text.encode() if isinstance(text, str) else text for text in texts)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.jsonl.gz"])
async def test_a_line_becomes_a_run(store: Store, tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, LINE)
    assert await import_runs(store, path) == ImportReport(added=1, known=0)
    assert await import_runs(store, path) == ImportReport(added=0, known=1)
    assert await store.run("r1") == Run(
        run_id="r1",
        request="book a table",
        agent="planner",
        kind="task",
        started_at=1_795_251_600.0,
        duration_ms=12.5,
        user_id="U1",
        channel_id="C1",
        audience="channel:C1",
        task_type="booking",
        agent_version="abc",
        model="strong-1",
        reply="done",
        outcome=Outcome(True, 0.5, "check"),
        input_tokens=10,
        output_tokens=5,
        cost_usd=None,
        steps=(
            Step(0, "tool", "book", {"people": 2}, True, None, 3.0),
            Step(1, "model", "strong-1", None, None, None, None, 10, 5, 0.5),
        ),
    )


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
async def test_what_is_exported_has_the_format_and_comes_back(
    store: Store, tmp_path: Path, name: str
) -> None:
    bare = {"run_id": "r2", "request": "hi", "agent": "a"}
    await import_runs(store, write(tmp_path / "in.jsonl", LINE, bare))
    out = tmp_path / name
    assert await export_runs(store, out) == 2
    raw = gzip.decompress(out.read_bytes()) if name.endswith("gz") else out.read_bytes()
    first, second = map(json.loads, raw.splitlines())
    assert set(first) == set(second) == set(LINE)
    assert first | {"started_at": LINE["started_at"]} == LINE
    assert first["started_at"] in ("2026-11-21T09:00:00Z", "2026-11-21T09:00:00+00:00")
    assert (second["outcome"], second["steps"]) == (
        {"success": None, "score": None, "source": None}, [],
    )  # fmt: skip
    copy = Store.open(tmp_path / "copy", "T1")
    assert (await import_runs(copy, out)).added == 2
    assert await copy.run("r1") == await store.run("r1")
    await copy.close()
    assert out.stat().st_mode & 0o777 == 0o600


async def test_one_persons_runs(store: Store, tmp_path: Path) -> None:
    await import_runs(
        store, write(tmp_path / "in.jsonl", LINE, LINE | {"run_id": "r2", "user": "U2"})
    )
    assert await export_runs(store, tmp_path / "out.jsonl", user="U2") == 1
    assert b'"r2"' in (tmp_path / "out.jsonl").read_bytes()


async def test_who_may_read_is_the_narrowest_that_fits(store: Store, tmp_path: Path) -> None:
    lines = [
        LINE,
        LINE | {"run_id": "r2", "channel": None},
        LINE | {"run_id": "r3", "channel": None, "user": None},
    ]
    await import_runs(store, write(tmp_path / "in.jsonl", *lines))
    found = {run.run_id: run.audience for run in await store.runs(RunQuery(kinds=("task",)))}
    assert found == {"r1": "channel:C1", "r2": "person:U1", "r3": PUBLIC}
    other = Store.open(tmp_path / "other", "T1")
    await import_runs(other, tmp_path / "in.jsonl", audience=PUBLIC)
    assert {run.audience for run in await other.runs(RunQuery(kinds=("task",)))} == {PUBLIC}
    await other.close()


async def test_secrets_in_a_file_are_redacted(store: Store, tmp_path: Path) -> None:
    await import_runs(
        store, write(tmp_path / "in.jsonl", LINE | {"request": "mail ada@example.com"})
    )
    run = await store.run("r1")
    assert run is not None
    assert run.request == "mail [email]"


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in LINE.items() if name != key}


BAD = [
    (LINE | {"colour": "red"}, "unknown key colour"),
    (LINE | {"steps": [{"kind": "tool", "name": "x", "tool": 1}]}, r"unknown key steps\.0\.tool"),
    (LINE | {"outcome": {"verdict": True}}, r"unknown key outcome\.verdict"),
    (LINE | {"kind": "chat"}, "kind: Input should be"),
    (LINE | {"run_id": 7}, "run_id: "),
    (LINE | {"run_id": ""}, "run_id: "),
    (LINE | {"started_at": "yesterday"}, "started_at: "),
    (LINE | {"duration_ms": -1}, "duration_ms: "),
    (LINE | {"outcome": {"score": 7}}, r"outcome\.score: "),
    (LINE | {"steps": [{"kind": "tool"}]}, r"steps\.0\.name: Field required"),
    (LINE | {"steps": [{"kind": "tool", "name": "x", "input_tokens": 2**70}]}, "input_tokens: "),
    (without("request"), "request: Field required"),
    (without("agent"), "agent: Field required"),
    ("not json", "Invalid JSON"),
    ("[]", "object"),
    (b"\xff\xfe", "."),
]


@pytest.mark.parametrize(("bad", "words"), BAD)
async def test_a_bad_line_is_named_and_nothing_is_kept(
    store: Store, tmp_path: Path, bad: Any, words: str
) -> None:
    path = write(tmp_path / "in.jsonl", LINE, "", bad, LINE | {"run_id": "r3"})
    with pytest.raises(InputError, match=rf"in\.jsonl, line 3: .*{words}.*[\s\S]*Nothing"):
        await import_runs(store, path)
    assert await store.runs(RunQuery(kinds=("task",))) == []


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"{}" * 100, mtime=0)[:-9]])
async def test_a_broken_archive(store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.jsonl.gz").write_bytes(content)
    with pytest.raises(InputError, match="Nothing of"):
        await import_runs(store, tmp_path / "in.jsonl.gz")


async def test_no_file(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not be read"):
        await import_runs(store, tmp_path / "nothing.jsonl")


async def test_an_export_that_cannot_be_written_leaves_nothing(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="Choose another place"):
        await export_runs(store, tmp_path / "no" / "such" / "out.jsonl")
    folder = tmp_path / "taken.jsonl"
    folder.mkdir()
    with pytest.raises(StoreError, match="Choose another place"):
        await export_runs(store, folder)
    assert not list(tmp_path.glob("*.part"))
