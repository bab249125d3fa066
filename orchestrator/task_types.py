"""Kinds of requests: online clusters of what people ask, named by number."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from database.records import TaskType
from database.store import Store
from orchestrator.routing import Matrix, Vector, times

ALIKE = 0.45
"""Requests at least this alike are one kind. On 2,000 requests of CLINC150 (150 intents) 0.45 gives
kinds that are 74% of one intent and hold 61% of it; 0.4 gives 66 and 65, 0.55 gives 83 and 52."""

MAX_TYPES = 2000
"""Kinds beyond this are not opened: a request like none of them has no kind."""


class TaskTypes:
    """Groups requests by their leader: the first of a kind opens it, later ones move its middle.

    A name says nothing of what was asked, as it is shown where the requests may not be.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: list[str] = []
        self._counts: list[int] = []
        self._centroids: Matrix | None = None
        self._changed: set[int] = set()
        self._last = 0

    async def load(self) -> None:
        """Take up the kinds that the store knows."""
        everything = await self._store.task_types()
        numbers = [kind.name.removeprefix("kind-") for kind in everything]
        self._last = max((int(number) for number in numbers if number.isdecimal()), default=0)
        known = _of_one_size(everything)
        self._names = [kind.name for kind in known]
        self._counts = [kind.count for kind in known]
        if known:
            self._centroids = np.stack(
                [np.frombuffer(kind.centroid, dtype=np.float32).copy() for kind in known]
            )

    def assign(self, vector: Vector) -> str | None:
        """The kind of a request, opened now if there is none like it; takes microseconds.

        `vector` has length 1. Nothing is written: `save` does that.
        """
        at = self._nearest(vector)
        if at is None:
            return self._open(vector)
        centroids = self._centroids
        assert centroids is not None
        count = self._counts[at] + 1
        moved = centroids[at] + (vector - centroids[at]) / count
        norm = float(np.linalg.norm(moved))
        if norm > 0:
            centroids[at] = moved / norm
        self._counts[at] = count
        self._changed.add(at)
        return self._names[at]

    def known(self, vector: Vector) -> str | None:
        """The kind of a request that nothing is learned from, if there is one like it."""
        at = self._nearest(vector)
        return None if at is None else self._names[at]

    async def save(self) -> None:
        """Write what changed since the last time; meant for the bus, after the reply."""
        for at in sorted(self._changed):
            assert self._centroids is not None
            centroid = self._centroids[at].astype(np.float32).tobytes()
            await self._store.save_task_type(TaskType(self._names[at], centroid, self._counts[at]))
            self._changed.discard(at)  # not before: what could not be written is tried again

    def _nearest(self, vector: Vector) -> int | None:
        if self._centroids is None:
            return None
        likeness = times(self._centroids, vector)
        at = int(likeness.argmax())
        return at if likeness[at] >= ALIKE else None

    def _open(self, vector: Vector) -> str | None:
        if len(self._names) >= MAX_TYPES or not np.any(vector):
            return None
        self._last += 1
        name = f"kind-{self._last}"
        row = np.asarray(vector, dtype=np.float32).reshape(1, -1)
        kept = self._centroids
        self._centroids = row.copy() if kept is None else np.concatenate([kept, row])
        self._names.append(name)
        self._counts.append(1)
        self._changed.add(len(self._names) - 1)
        return name


def _of_one_size(known: Sequence[TaskType]) -> list[TaskType]:
    """Those whose vectors have the commonest size: others come from another model of meaning."""
    sizes = Counter(len(kind.centroid) for kind in known)
    usual = sizes.most_common(1)[0][0] if sizes else 0
    return [kind for kind in known if len(kind.centroid) == usual]
