"""Answers that go round in circles, as small models' sometimes do, cut where they begin to."""

import re

OFTEN = 3
"""A long line that stands there so often is no list any more."""

_LONG = 20
_NUMBER = re.compile(r"^[\s>*•-]*(?:\d+[.)]\s*)?")
_LEFT_OUT = "(It went round in circles from here on; that is left out.)"


def without_circles(text: str) -> str:
    """The text up to the second time of a long line that it says OFTEN; code is left alone.

    Lines are compared without the marks and numbers of lists.
    """
    lines = text.split("\n")
    said: dict[str, list[int]] = {}
    code = False
    for at, line in enumerate(lines):
        code ^= line.lstrip().startswith("```")
        bare = _NUMBER.sub("", line).strip().casefold()
        if code or len(bare) < _LONG:
            continue
        places = said.setdefault(bare, [])
        places.append(at)
        if len(places) == OFTEN:
            return "\n".join([*lines[: places[1]], "", _LEFT_OUT])
    return text
