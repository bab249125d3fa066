"""Search in the remembered messages that the person may see."""

from datetime import datetime

from pydantic import BaseModel, Field

from agents.ports import ToolContext
from agents.tools.base import Tool, checked, schema_of
from database.records import Message

_MAX_RESULTS = 8
_MAX_CHARACTERS = 400
_BRIEF_RESULTS = 4
_BRIEF_CHARACTERS = 200
"""The embedded model reads some 80 tokens a second: these are three seconds, not fifteen."""


class Search(BaseModel):
    """What to look for."""

    words: str = Field(
        min_length=1,
        max_length=200,
        description="the two to four most telling words of the question, names included",
    )


async def _run(arguments: Search, context: ToolContext) -> str:
    words = " ".join(arguments.words.split())
    most = _BRIEF_RESULTS if context.brief else _MAX_RESULTS
    found = await context.recall.search_messages(words, context.reader, most)
    if not found:
        return f"No message was found for '{words}'. Fewer or other words may find some."
    lines = [_line(number, message, context) for number, message in enumerate(found, start=1)]
    return "Best match first:\n" + "\n".join(lines)


def _line(number: int, message: Message, context: ToolContext) -> str:
    """Who, where, when and what; channel and ts are what a link to it is made of."""
    said = datetime.fromtimestamp(float(message.ts), context.now.tzinfo)
    who = "the assistant" if message.role == "assistant" else f"<@{message.user_id or 'unknown'}>"
    text = " ".join(message.text.split())
    most = _BRIEF_CHARACTERS if context.brief else _MAX_CHARACTERS
    if len(text) > most:
        text = text[: most - 1] + "…"
    return (
        f"{number}. {who} in <#{message.channel_id}> on {said:%Y-%m-%d %H:%M} "
        f"(ts {message.ts}): {text}"
    )


SEARCH_MESSAGES = Tool(
    name="search_messages",
    description="Searches what people said earlier in this workspace: decisions, plans, dates, "
    "who does what. Use it when the answer is not in this conversation.",
    parameters=schema_of(Search),
    effect="read",
    title="Searching our messages",
    call=checked(Search, _run),
    subject="words",
    examples=(
        "What did Lea say about the invoice?",
        "When did we agree to move offices?",
        "Who is in charge of the newsletter?",
        "Which supplier did the team pick?",
        "What does Ines need from us?",
    ),
    known="1. <@U3> on 2026-01-02: the invoice is paid",
)
