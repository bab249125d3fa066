"""A clock for tests that must not wait."""


class Clock:
    """Stands still until it is moved; seconds since 1970."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
