import numpy as np
import pytest

from database.errors import StoreError
from database.records import TaskType
from database.store import Store
from orchestrator.task_types import TaskTypes


async def test_what_could_not_be_written_is_written_the_next_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = TaskTypes(store)
    assert kinds.assign(np.array([1.0, 0.0], dtype=np.float32)) == "kind-1"

    async def full(_: TaskType) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(store, "save_task_type", full)
        with pytest.raises(StoreError):
            await kinds.save()
    await kinds.save()
    assert [kind.name for kind in await store.task_types()] == ["kind-1"]


async def test_vectors_of_another_size_do_not_keep_it_from_starting(store: Store) -> None:
    for name, size in (("kind-1", 2), ("kind-2", 3), ("kind-3", 2)):
        centroid = np.eye(1, size, dtype=np.float32).tobytes()
        await store.save_task_type(TaskType(name, centroid, 1))
    kinds = TaskTypes(store)
    await kinds.load()
    assert kinds.assign(np.array([1.0, 0.0], dtype=np.float32)) == "kind-1"
    opened = kinds.assign(np.array([0.0, 1.0], dtype=np.float32))
    assert opened == "kind-4", "a name that stands for another kind is not used again"
