"""The command line that most benchmarks share: `--quick`, `--json`, else words for people."""

import argparse
import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

Report = TypeVar("Report")


def measure(
    about: str | None,
    quick: str,
    run: Callable[[bool], Coroutine[Any, Any, Report]],
    show: Callable[[Report], None],
) -> None:
    """Measure, then show the report or print it as one JSON object.

    `about` is the help, `quick` what `--quick` does; `run` is told whether it was given, and makes
    a mapping or an instance of a dataclass.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report = asyncio.run(run(options.quick))
    if options.json:
        print(json.dumps(_plain(report)))
    else:
        show(report)


def _plain(report: object) -> Mapping[str, Any]:
    if is_dataclass(report) and not isinstance(report, type):
        return asdict(report)
    assert isinstance(report, Mapping)
    return report
