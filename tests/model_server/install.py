"""Install the scripted model server: `python -m tests.model_server.install`."""

from pathlib import Path

from tests.node_packages import NodePackages

AIMOCK = NodePackages(Path(__file__).resolve().parent, "@copilotkit/aimock/dist/cli.js")

if __name__ == "__main__":
    AIMOCK.install()
