"""Public data sets of agent runs, in the format of `runs import`.

`python -m benchmarks.datasets --data DIR --out DIR [--only mint|tau_airline] [--json]`

`--data` is the folder that holds `mint/runs.jsonl.gz`, `mint/tasks.jsonl.gz` and
`tau_airline/runs.jsonl.gz`. What the sources do not say stays null: neither has times of day or
durations. A source's step becomes the model call that decided it, with its tokens, and the tool
call, with what went wrong. Import the files with `virtuous6 runs import FILE`.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.public_data import lines
from database.errors import VirtuousError
from database.run_files import write_lines

Json = dict[str, Any]


def mint(folder: Path) -> Iterator[Json]:
    """MINT: 14 models at 8 kinds of tasks, some with feedback by another model.

    The agent is the model's configuration, so that agents can be compared on the same tasks; the
    feedback arm is its version.
    """
    prompts = {task["task_id"]: task["prompt"] for task in lines(folder / "tasks.jsonl.gz")}
    for run in lines(folder / "runs.jsonl.gz"):
        steps = [step for source in run["steps"] for step in _mint_steps(source)]
        if steps:
            steps[0]["input_tokens"] = run["prompt_tokens"]
        yield _run(
            run_id=f"mint|{run['run_id']}",
            request=prompts[run["task_id"]],
            task_type=run["domain"],
            agent=run["model"].lower().replace(".", "-"),
            agent_version=run["feedback"],
            model=run["model"],
            steps=steps,
            success=run["reward"] > 0,
            reply=_last(run["steps"], "propose_solution", "args"),
        )


def _mint_steps(source: Mapping[str, Any]) -> Iterator[Json]:
    yield _step("model", "chat", output_tokens=source["approx_tokens"])
    arguments = {"text": source["args"]} if source["args"] else None
    yield _step("tool", source["name"], arguments, source["ok"], source["error"])


def tau_airline(folder: Path) -> Iterator[Json]:
    """tau-bench airline: gpt-4o with tools as an airline's agent, four trials a task.

    Each task is a person of its own; what people say later in a conversation is left out.
    """
    for run in lines(folder / "runs.jsonl.gz"):
        agent_steps = [step for step in run["steps"] if step["actor"] == "agent"]
        yield _run(
            run_id=f"tau|{run['run_id']}",
            request=run["request"],
            task_type="airline",
            agent="airline",
            model=run["model"],
            user=f"U{run['task_id']}",
            steps=[step for source in agent_steps for step in _tau_steps(source)],
            success=run["reward"] >= 1,
            reply=_last(run["steps"], "respond", "text"),
        )


def _tau_steps(source: Mapping[str, Any]) -> Iterator[Json]:
    yield _step("model", "chat", output_tokens=source["approx_tokens"])
    if source["type"] == "tool_call":
        arguments = _arguments(source["args"])
        yield _step("tool", source["name"], arguments, source["ok"], source["error"])


def _arguments(text: str) -> Json:
    """What a tool was called with; a source that was cut is kept as its text."""
    try:
        found = json.loads(text)
    except ValueError:
        return {"text": text}
    return found if isinstance(found, dict) else {"text": text}


def _last(steps: Iterable[Mapping[str, Any]], name: str, key: str) -> str | None:
    said = [step[key] for step in steps if step["name"] == name and step.get(key)]
    return said[-1] if said else None


def _step(
    kind: str,
    name: str,
    arguments: Json | None = None,
    ok: bool | None = True,
    error: str | None = None,
    output_tokens: int | None = None,
) -> Json:
    return {
        "kind": kind,
        "name": name,
        "arguments": arguments,
        "ok": ok,
        "error": error,
        "output_tokens": output_tokens,
    }


def _run(*, success: bool, **known: Any) -> Json:
    outcome = {"success": success, "score": float(success), "source": "check"}
    return {**known, "outcome": outcome}


SETS = {"mint": mint, "tau_airline": tau_airline}


async def written(data: Path, out: Path, names: Iterable[str]) -> dict[str, int]:
    """Write `NAME.jsonl.gz` for each data set; how many runs. Raises InputError, StoreError."""
    return {name: await _write(data / name, out / f"{name}.jsonl.gz", name) for name in names}


async def _write(folder: Path, path: Path, name: str) -> int:
    async def texts() -> AsyncIterator[str]:
        for run in SETS[name](folder):
            yield json.dumps(run, ensure_ascii=False)

    return await write_lines(path, texts())


def main() -> int:
    """The command; 0 when every file was written."""
    parser = argparse.ArgumentParser(prog="benchmarks.datasets", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--only", choices=sorted(SETS), help="one of the data sets")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    names = [given.only] if given.only else sorted(SETS)
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        counts = asyncio.run(written(given.data, given.out, names))
    except (VirtuousError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps({"runs": counts}))
        return 0
    shown = Table("data set", "runs", "file")
    for name, count in counts.items():
        shown.add_row(name, f"{count:,}", str(given.out / f"{name}.jsonl.gz"))
    Console().print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
