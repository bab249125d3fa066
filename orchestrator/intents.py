"""Requests to the house itself, told from requests to an agent by their plain words."""

import re

_SPECIALIST = re.compile(
    r"""^(?:hey|hi|please|can\ you|could\ you|i\ (?:want|need)\ (?:you\ )?to|[,\s])*
    (?:create|make|add|build|spawn|set\ up)\s+(?:me\s+|us\s+)?
    (?:an?\s+|another\s+|the\s+)?(?:new\s+)?(?:ai\s+)?
    (?:specialist|expert|agent)(?:\s+agent)?\s*
    (?::|,|\b(?:for|in|on|about|who|that|which|to|specialising\ in|specializing\ in))\s*
    (?P<described>\S.*)$""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def wanted_specialist(text: str) -> str | None:
    """What a new specialist is wanted for, if that is what the words ask."""
    match = _SPECIALIST.match(text.strip())
    return match["described"].strip(" .!?\n") if match else None
