"""Ends the run with a question to the person."""

from pydantic import BaseModel, Field

from agents.ports import ToolContext
from agents.tools.base import PersonNeeded, Tool, checked, schema_of


class Question(BaseModel):
    """What to ask."""

    question: str = Field(min_length=1, max_length=1000, description="One clear question")


async def _run(arguments: Question, context: ToolContext) -> str:
    raise PersonNeeded(arguments.question.strip())


ASK_PERSON = Tool(
    name="ask_person",
    description="Asks the person one question and waits. Only when you cannot go on without "
    "something that only the person knows.",
    parameters=schema_of(Question),
    effect="read",
    title="Asking you",
    call=checked(Question, _run),
    subject="question",
    foreign=False,
    examples=(
        "Book it.",
        "Send it to her.",
    ),
)
