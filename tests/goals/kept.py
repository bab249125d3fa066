"""Goals to be kept, of Ada and of Bob, whose words and names can be told from everything else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from database.goals import Goal, Spent, Task, TaskState
from goals.ledger import Goals
from goals.ports import JournalEntry

HERS = "xylophone teacher"
HER_THREAD = ("C1", "1700000000.000100")


def task(number: int, state: TaskState = "pending", attempt: int = 0) -> Task:
    return Task(f"t{number}", number, f"step {number}", "do it", "writer", state=state,
                attempt=attempt)  # fmt: skip


def goal(name: str = "g1", user: str = "U0ADA", tasks: Sequence[Task] = ()) -> Goal:
    channel, thread = HER_THREAD
    return Goal(
        name, user, f"ask a {HERS}", f"run of {name}", title=HERS, channel_id=channel,
        thread_ts=thread, tasks=tuple(tasks), state="running", created_at=100.0,
    )  # fmt: skip


def entry(position: str, attempt: int = 1, **body: object) -> JournalEntry:
    return JournalEntry(attempt, position, "tool", body)


async def fill(goals: Goals) -> None:
    await goals.create(goal(tasks=[replace(task(1, "running", 1), reserved=Spent(1.0, 5, 0.1))]))
    await goals.note("g1", "t1", entry("m0", text=HERS))
    his = goal("g2", "U0BOB", [task(1, "running", 1)])
    await goals.create(replace(his, request="ask <@U0ADA>, not U0ADAM", title="", notes=("U0ADA",)))
    await goals.note("g2", "t1", entry("m0", text="said U0ADA"))


async def every_text(goals: Goals) -> str:
    rows = await goals.ledger.sql.do(
        lambda t: t.rows("SELECT body FROM goals") + t.rows("SELECT body FROM journal")
    )
    return " ".join(goals.ledger.unseal(row.body).decode() for row in rows)


def bytes_of(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.iterdir() if path.is_file())
