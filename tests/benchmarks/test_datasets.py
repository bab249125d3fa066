"""Public data sets become runs that the record takes."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.datasets import written
from database.errors import InputError
from database.records import PUBLIC
from database.run_files import import_runs
from database.store import Store


def packed(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def mint_step(name: str, ok: bool | None, error: str | None) -> dict[str, Any]:
    return {"name": name, "args": f"{name}(1)", "ok": ok, "error": error, "approx_tokens": 20}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    packed(folder / "mint" / "tasks.jsonl.gz", {"task_id": "gsm8k-1", "prompt": "Two and two?"})
    packed(
        folder / "mint" / "runs.jsonl.gz",
        {
            "run_id": "M|F=None|gsm8k-1",
            "task_id": "gsm8k-1",
            "domain": "gsm8k",
            "model": "Meta-Llama-3.1",
            "feedback": "F=None",
            "steps": [
                mint_step("python", False, "NameError: name 'x' is not defined"),
                mint_step("propose_solution", None, None),
            ],
            "reward": 1,
            "prompt_tokens": 300,
        },
    )
    person = {"actor": "user", "type": "message", "name": "user_message", "text": "Hi"}
    called = {"actor": "agent", "type": "tool_call", "name": "book", "args": '{"seat":"4A"}'}
    said = {"actor": "agent", "type": "message", "name": "respond", "text": "It is booked."}
    packed(
        folder / "tau_airline" / "runs.jsonl.gz",
        {
            "run_id": "airline-3-0",
            "task_id": 3,
            "model": "gpt-4o",
            "request": "Hi",
            "steps": [
                {**person, "approx_tokens": 1},
                {**called, "ok": True, "error": None, "approx_tokens": 7},
                {**said, "approx_tokens": 4},
            ],
            "reward": 0.0,
        },
    )
    return folder


async def test_both_sets_can_be_imported(data: Path, tmp_path: Path) -> None:
    assert await written(data, tmp_path, ("mint", "tau_airline")) == {"mint": 1, "tau_airline": 1}
    store = Store.open(tmp_path / "home", "T1")
    for name in ("mint", "tau_airline"):
        await import_runs(store, tmp_path / f"{name}.jsonl.gz", audience=PUBLIC)
    mint, tau = await store.run("mint|M|F=None|gsm8k-1"), await store.run("tau|airline-3-0")
    await store.close()
    assert mint
    assert tau
    assert (mint.agent, mint.agent_version, mint.task_type) == ("meta-llama-3-1", "F=None", "gsm8k")
    assert (mint.request, mint.reply) == ("Two and two?", "propose_solution(1)")
    assert (mint.input_tokens, mint.output_tokens) == (300, 40)
    assert [(s.kind, s.name, s.ok) for s in mint.steps] == [
        ("model", "chat", True),
        ("tool", "python", False),
        ("model", "chat", True),
        ("tool", "propose_solution", None),
    ]
    assert mint.outcome.success is True
    assert tau.outcome.success is False
    assert [(s.kind, s.name) for s in tau.steps] == [
        ("model", "chat"), ("tool", "book"), ("model", "chat"),
    ]  # fmt: skip
    assert tau.steps[1].arguments == {"seat": "4A"}
    assert (tau.reply, tau.output_tokens, tau.user_id) == ("It is booked.", 11, "U3")


async def test_a_folder_without_the_set_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tasks\.jsonl\.gz is no file"):
        await written(tmp_path, tmp_path, ("mint",))
    assert not (tmp_path / "mint.jsonl.gz").exists()
