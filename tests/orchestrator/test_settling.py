"""A process that answers is set up so that answers do not wait for what threads compute."""

import gc
import sys
from collections.abc import Iterator

import pytest

from orchestrator.settling import settle


@pytest.fixture(autouse=True)
def afterwards_as_before() -> Iterator[None]:
    usual = sys.getswitchinterval()
    yield
    sys.setswitchinterval(usual)
    gc.unfreeze()


def test_what_stays_is_left_alone_by_later_collections() -> None:
    stays = [{"number": number} for number in range(1_000)]
    settle()
    assert gc.get_freeze_count() > len(stays)
    assert not any(one is stays for one in gc.get_objects())


def test_threads_that_compute_give_way_soon() -> None:
    settle()
    assert sys.getswitchinterval() < 0.001
