"""How long a test waits for what must happen; it goes on as soon as that has happened."""

PATIENCE_S = 30.0
"""Enough for a machine that is slow and busy with other tests."""
