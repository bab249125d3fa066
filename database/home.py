"""The folder where local data lives: one process of a kind at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from database.errors import ConfigurationError


@contextmanager
def only_one(home: Path, what: str, name: str) -> Iterator[None]:
    """Two of a kind on one home would write over each other's work. Raises ConfigurationError.

    `what` names the lock's file, `name` is what a person calls it.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(home / f"{what}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigurationError(
            f"{name} is already running on {home}: use it, stop it, or set VIRTUOUS6_HOME."
        ) from None
    try:
        yield
    finally:
        lock.release()
