"""A process that reserves for many tasks at once: python -m tests.goals.reserving HOME URL FIRST N.

Says how many of them fitted into the day.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from database.errors import BudgetExceeded
from database.goals import Goal, Spent, Task
from goals.budgets import DayLimit
from goals.ledger import Goals, Ledger

PERSON = "U0ADA"
LIMIT = DayLimit(usd=2.0, tokens=1_000_000)
EACH = Spent(1.0, 100, 0.1)


def asked(name: str) -> Goal:
    """A goal with one task that waits for a worker."""
    task = Task("t1", 1, "step", "do it", "writer", state="queued", attempt=1)
    return Goal(name, PERSON, "ask", name, state="running", tasks=(task,))


async def reserve(goals: Goals, name: str, each: Spent = EACH, limit: DayLimit = LIMIT) -> bool:
    """Create a goal and start its task, where the day has room for it."""
    goal = asked(name)
    await goals.create(goal)
    running = replace(goal.tasks[0], state="running", reserved=each)
    try:
        await goals.move(replace(goal, tasks=(running,)), limit=limit)
    except BudgetExceeded:
        return False
    return True


async def main(home: str, url: str, first: str, count: str) -> None:
    """Reserve for `count` tasks at once."""
    ledger = Ledger.open(Path(home), url or None)
    names = [f"g{int(first) + n}" for n in range(int(count))]
    done = await asyncio.gather(*(reserve(ledger.of("T1"), name) for name in names))
    await ledger.close()
    sys.stdout.write(str(sum(done)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
