"""Run as a script by `agents.checks.code`: one piece of untrusted code, as little as it can do.

Reads a task as JSON, writes `{"value": ...}` or `{"error": ...}`. Nothing of the house is imported
here. Three fences: the source may name no private attribute and import only harmless modules; an
audit hook ends the process on files, sockets, processes and foreign code; the kernel limits CPU
time, memory, file size and processes.
"""

import ast
import contextlib
import io
import json
import os
import re
import resource
import sqlite3
import sys
from collections.abc import Callable
from typing import Any, NoReturn

CPU_SECONDS = 3
MEMORY_BYTES = 512 * 1024 * 1024
ALLOWED_MODULES = (
    "collections",
    "datetime",
    "functools",
    "itertools",
    "json",
    "math",
    "re",
    "statistics",
    "string",
    "typing",
)
FORBIDDEN_NAMES = {
    "breakpoint",
    "compile",
    "eval",
    "exec",
    "exit",
    "getattr",
    "globals",
    "input",
    "locals",
    "open",
    "quit",
    "setattr",
    "vars",
}
FORBIDDEN_EVENTS = ("open", "os.", "socket.", "subprocess.", "shutil.", "ctypes.", "import")


def limit_process() -> None:
    """Let the kernel stop what the other fences let through."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def refuse_effects(event: str, _: tuple[Any, ...]) -> None:
    """End the process at once: an exception could be caught by the code that caused it."""
    if event.startswith(FORBIDDEN_EVENTS):
        os.write(1, json.dumps({"error": f"the code tried {event}, which is refused"}).encode())
        os._exit(1)


def check_source(code: str) -> ast.Module:
    """The parsed code. Raises ValueError where it names what it may not use."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
        for name in names:
            if name.split(".")[0] not in ALLOWED_MODULES:
                raise ValueError(f"the code imports {name}, which is refused")
        word = _named(node)
        if word in FORBIDDEN_NAMES or (word.startswith("__") and word != "__name__"):
            raise ValueError(f"the code uses {word}, which is refused")
    return tree


def _named(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def run_python(task: dict[str, Any]) -> list[Any]:
    """What the function returns for each call, as JSON values."""
    for name in ALLOWED_MODULES:
        __import__(name)
    tree = check_source(task["code"])
    # Compiling raises audit events of its own, so it comes before the hook.
    program = compile(tree, "answer", "exec")
    space: dict[str, Any] = {"__name__": "answer"}
    sys.addaudithook(refuse_effects)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(program, space)
        function: Callable[..., Any] = space[task["function"]]
        return [json.loads(json.dumps(function(*arguments))) for arguments in task["calls"]]


def run_regex(task: dict[str, Any]) -> list[bool]:
    """Whether each text matches in full."""
    pattern = re.compile(task["code"])
    return [pattern.fullmatch(text) is not None for text in task["texts"]]


def run_sql(task: dict[str, Any]) -> list[list[Any]]:
    """The rows of one reading query on the given tables."""
    database = sqlite3.connect(":memory:")
    database.executescript(task["tables"])
    database.set_authorizer(_only_reading)
    return [list(row) for row in database.execute(task["code"].strip().rstrip(";"))]


def _only_reading(action: int, *_: Any) -> int:
    reading = (
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    )
    return sqlite3.SQLITE_OK if action in reading else sqlite3.SQLITE_DENY


def finish(**result: Any) -> NoReturn:
    """Write the result and end without running anything that the code left behind."""
    os.write(1, json.dumps(result).encode())
    os._exit(0)


def main() -> None:
    """Do the task that standard input holds."""
    task = json.loads(sys.stdin.read())
    run = {"python": run_python, "regex": run_regex, "sql": run_sql}[task["language"]]
    limit_process()
    try:
        value = run(task)
    # The outermost boundary: whatever the untrusted code raised is its result.
    except BaseException as error:  # noqa: BLE001
        finish(error=f"{type(error).__name__}: {error}")
    finish(value=value)


if __name__ == "__main__":
    main()
