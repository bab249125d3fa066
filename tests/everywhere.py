"""What is promised of a database holds in SQLite and at the server that may stand in for it."""

from collections.abc import Collection

import pytest


def everywhere(
    metafunc: pytest.Metafunc, fixture: str, modules: Collection[str], server: str
) -> None:
    """Have `fixture` be "sqlite", and in these test modules `server` too, for each test with it."""
    if fixture in metafunc.fixturenames:
        both = metafunc.module.__name__.rpartition(".")[2] in modules
        metafunc.parametrize(fixture, ["sqlite", server] if both else ["sqlite"], indirect=True)
