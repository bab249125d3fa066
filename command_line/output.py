"""What every command shares: settings, output, errors as exit status."""
# ruff: noqa: PLC0415 (imports inside commands are measured: see virtuous6.py)

import hashlib
import json as json_module
import logging
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from database.errors import ConfigurationError, VirtuousError

if TYPE_CHECKING:
    from orchestrator.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


_PERSON = re.compile(r"(?<![A-Za-z0-9])[UW](?=[A-Z0-9]*[0-9])[A-Z0-9]{4,}(?![A-Za-z0-9])")
"""Slack's ids of people."""


def configured() -> "Settings":
    """From the environment. Raises ConfigurationError."""
    from orchestrator.settings import load_settings

    return load_settings()


@contextmanager
def reported(json: bool = False) -> Iterator[None]:
    """Errors in one line and as exit status: 2 for what must be set, 1 for what failed."""
    try:
        yield
    except VirtuousError as error:
        words = " ".join(" ".join([str(error), *getattr(error, "__notes__", ())]).split())
        if json:
            print_json({"error": words})
        else:
            typer.echo(words, err=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def log_to_standard_error(level: int) -> None:
    """Logs go to standard error: standard output is for what was asked."""
    import structlog

    nameless = _without_people()
    logging.basicConfig(level=logging.WARNING, handlers=[_handler(nameless)])
    # Bolt finds SLACK_BOT_TOKEN in the environment beside the client we give it, and warns of that;
    # it sets its logger's level itself, so that only a filter holds.
    logging.getLogger("slack_bolt.AsyncApp").addFilter(lambda r: "`token`" not in r.getMessage())
    # Plain tracebacks: the pretty ones show local variables, and with them what people wrote.
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lambda logger, name, event: nameless(console(logger, name, event)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _without_people() -> Callable[[str], str]:
    """Puts a short digest in each person's place: nobody can be forgotten in a log.

    One that is salted anew at each start, so that it tells what one person met with, but not who.
    """
    salt = secrets.token_bytes(16)

    def digest(found: re.Match[str]) -> str:
        return f"person-{hashlib.sha256(salt + found[0].encode()).hexdigest()[:8]}"

    return lambda line: _PERSON.sub(digest, line)


def _handler(nameless: Callable[[str], str]) -> logging.Handler:
    """Libraries' own log."""

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return nameless(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(logging.BASIC_FORMAT))
    return handler


def say(line: str) -> None:
    """One line for the person."""
    typer.echo(line)


def print_json(value: dict[str, Any]) -> None:
    """The one object of `--json`."""
    typer.echo(json_module.dumps(value, ensure_ascii=False, default=str))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        shown.add_column(head, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)


@contextmanager
def waiting(words: str) -> Iterator[Callable[[str], None]]:
    """Says on standard error what is going on, for as long as the block runs and people watch."""
    from rich.console import Console

    with Console(stderr=True).status(words) as status:
        yield lambda now: status.update(now)
