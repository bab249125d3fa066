"""Requests as a server takes them: those that refuse an option by its name are asked without it.

OpenAI's own options are not everybody's. Servers that check strictly say with an HTTP 400 or 422
what they do not know; others take no notice of it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Payload = dict[str, Any]

REFUSALS = frozenset({400, 422, 501})
"""HTTP statuses of a server that does not take a request as it is."""

TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context (?:size|length|window)"
    r"|prompt is too long|input is too long|too many tokens",
    re.IGNORECASE,
)
NO_TOOLS = re.compile(r"\btools\b|\btool[ _-]choice\b|\btool[ _-]call|function[ _-]call", re.I)

_SIGNS = {
    "stream_options": re.compile(r"\bstream_options\b|\binclude_usage\b"),
    "response_format": re.compile(r"\bresponse_format\b|\bjson_schema\b|structured output", re.I),
    "max_completion_tokens": re.compile(r"\bmax_completion_tokens\b"),
    "max_tokens": re.compile(r"\bmax_tokens\b"),
    "temperature": re.compile(r"\btemperature\b"),
}


def blamed(said: str, payload: Mapping[str, Any]) -> str | None:
    """The option of `payload` that a refusal names; None where it is about something else."""
    if TOO_LONG.search(said):
        return None
    named = (name for name, sign in _SIGNS.items() if name in payload and sign.search(said))
    return next(named, None)


def without(payload: Payload, options: Iterable[str]) -> Payload:
    """The same request in other words: without these options, as far as it has them."""
    left_out = set(options)
    fitted = {name: value for name, value in payload.items() if name not in left_out}
    limit = payload.get("max_completion_tokens")
    if limit and "max_completion_tokens" in left_out and "max_tokens" not in left_out:
        fitted["max_tokens"] = limit  # its name until 2024, and with most servers still
    if "response_format" in left_out and "response_format" in payload:
        fitted["messages"] = _asking_for(payload["response_format"], payload["messages"])
    return fitted


def _asking_for(form: Mapping[str, Any], messages: list[Payload]) -> list[Payload]:
    """The form of the answer, asked for in words below the last message of the person."""
    schema = json.dumps(form.get("json_schema", {}).get("schema", {}))
    words = f"\n\nAnswer with one JSON object of this schema and nothing else: {schema}"
    last = max((at for at, one in enumerate(messages) if one["role"] == "user"), default=None)
    if last is None:
        return [*messages, {"role": "user", "content": words.strip()}]
    asked = messages[last] | {"content": f"{messages[last]['content']}{words}"}
    return [*messages[:last], asked, *messages[last + 1 :]]
