"""Reading public data sets: files of JSON lines or CSV, and which part of them is held out."""

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from database.errors import InputError

HELD_OUT = 0.40
"""The share of a data set that is only for measurements."""


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, perhaps gzipped. Raises InputError without a file."""
    with _opened(path) as file:
        for line in file:
            yield json.loads(line)


def table(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, perhaps gzipped. Raises InputError without a file."""
    with _opened(path) as file:
        yield from csv.DictReader(file)


def held_out(group: object) -> bool:
    """Whether what belongs to this group is kept for measurements.

    So it is where SHA-256 of "virtuous6|" and the group, as a fraction of 1, is below HELD_OUT.
    """
    digest = hashlib.sha256(f"virtuous6|{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < HELD_OUT


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    if not path.is_file():
        raise InputError(f"{path} is no file: name one of the data set's files.")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        yield file
