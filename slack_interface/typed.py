"""Commands as people type them: after a slash, or as plain words in a thread."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from slack_interface.learning_questions import id_asked_about, topic_of
from slack_interface.polite import Wording

Name = Literal[
    "better", "save-workflow", "metrics", "run", "help", "how", "channel", "policy", "my-data",
    "learning", "why", "about-learning",
]  # fmt: skip

_STOP = re.compile(
    r"(?:stop|cancel|abort|halt|quit)(?: it)?|stop (?:this|that|here|talking|working)|never ?mind",
    re.IGNORECASE,
)
MOST_STOP = 60
"""Whoever says more than that says something else."""

_BETTER = re.compile(r"^(?:/better\b\s*:?|better\s*:)\s*(.*)$", re.IGNORECASE | re.DOTALL)
_SAVE = re.compile(r"^/?save-workflow\b\s*:?\s*(.*)$", re.IGNORECASE | re.DOTALL)
_METRICS = re.compile(r"^/?metrics\b(\s*:)?\s*(.*)$", re.IGNORECASE | re.DOTALL)
_RUN = re.compile(r"^/?run\s+(?:workflow\s+)?[\"'`]?([\w.-]+)[\"'`]?(\s.*)?$", re.DOTALL)
_CHANNEL = re.compile(r"^channel\s*:\s*(.*)$", re.IGNORECASE | re.DOTALL)
_POLICY = re.compile(r"^policy(?:\s*:)?(?:\s+((?:show|set)\b.*))?$", re.IGNORECASE | re.DOTALL)
_PLAIN: Mapping[Name, re.Pattern[str]] = {
    "better": _BETTER, "save-workflow": _SAVE, "channel": _CHANNEL, "policy": _POLICY
}  # fmt: skip
_HELP = frozenset({"help", "/help", "what can you do", "commands"})
_HOW = frozenset(
    {
        "who answered", "who answered that", "who answered this", "which agent answered",
        "which specialist answered", "why this agent", "why that agent", "why this specialist",
        "why that specialist", "why you", "how was this answered", "how was that answered",
        "how did you answer that", "how did you answer this",
    }
)  # fmt: skip
_MY_DATA = frozenset(
    {
        "what do you know about me", "what do you keep about me", "what do you store about me",
        "what do you remember about me", "what do you have on me", "my data", "show my data",
        "export my data", "give me my data", "forget me", "delete my data", "forget about me",
    }
)  # fmt: skip
"""All are answered by the same card: only its buttons do anything."""
_LEARNING = re.compile(
    r"^/?learning(?:\s*:)?(?:\s+(on|off|paused?|resume|status))?[.!?\s]*$"
    r"|^(pause|resume)\s+learning[.!\s]*$",
    re.IGNORECASE,
)
_SWITCH = {"pause": "paused", "paused": "paused", "resume": "on", "on": "on", "off": "off"}
_PAIR = re.compile(r"^([\w.-]+)\s*=\s*(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TypedCommand:
    """A command; `sure` is False where the words might also be an ordinary sentence."""

    name: Name
    rest: str
    sure: bool = True
    workflow: str = ""


def is_stop(text: str) -> bool:
    """Whether these words ask to stop, and nothing else."""
    text = " ".join(text[: 20 * MOST_STOP].split())
    return len(text) <= MOST_STOP and bool(_STOP.fullmatch(Wording.of(text).bare))


def typed_command(text: str) -> TypedCommand | None:
    """The command in a message, if it is one."""
    if text.strip(" ?!.").lower() in _HELP:
        return TypedCommand("help", "")
    if text.strip(" ?!.").lower() in _HOW:
        return TypedCommand("how", "")
    if text.strip(" ?!.").lower() in _MY_DATA:
        return TypedCommand("my-data", "")
    for name, pattern in _PLAIN.items():
        if match := pattern.match(text):
            return TypedCommand(name, (match.group(1) or "").strip())
    if match := _METRICS.match(text):
        rest = match.group(2).strip()
        sure = bool(match.group(1)) or text.startswith("/") or not rest
        return TypedCommand("metrics", rest, sure)
    if match := _RUN.match(text):
        rest = (match.group(2) or "").strip()
        sure = text.startswith("/") or "=" in rest
        return TypedCommand("run", rest, sure, match.group(1))
    return _about_learning(text)


def _about_learning(text: str) -> TypedCommand | None:
    if match := _LEARNING.match(text):
        said = (match.group(1) or match.group(2) or "").lower()
        return TypedCommand("learning", _SWITCH.get(said, ""))
    if identifier := id_asked_about(text):
        return TypedCommand("why", identifier)
    return TypedCommand("about-learning", text, sure=False) if topic_of(text) else None


def inputs_from(text: str) -> Mapping[str, str]:
    """`key=value key="two words"` as a mapping.

    Words after a value belong to it: `topic=our new office` needs no quotes.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    found: dict[str, str] = {}
    last = ""
    for word in words:
        if match := _PAIR.match(word):
            last = match.group(1)
            found[last] = match.group(2)
        elif last:
            found[last] += f" {word}"
    return found
