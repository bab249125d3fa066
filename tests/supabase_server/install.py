"""Install Supabase's lite server: `python -m tests.supabase_server.install`."""

from pathlib import Path

from tests.node_packages import NodePackages

LITE = NodePackages(Path(__file__).resolve().parent, "@supabase/lite/dist/cli/index.js")

if __name__ == "__main__":
    LITE.install()
