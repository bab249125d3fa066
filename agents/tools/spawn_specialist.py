"""Makes a new specialist from a described specialty."""

from pydantic import BaseModel, Field

from agents.ports import ToolContext
from agents.tools.base import Tool, ToolFailed, checked, schema_of


class Specialty(BaseModel):
    """What the new specialist is for."""

    description: str = Field(
        min_length=10, max_length=1000, description="What the specialist does, in one sentence"
    )


async def _run(arguments: Specialty, context: ToolContext) -> str:
    if context.spawn is None:
        raise ToolFailed("New specialists cannot be made here. Answer as well as you can yourself")
    name = await context.spawn.spawn(arguments.description.strip(), context.user_id)
    return f"The specialist '{name}' exists now and answers such requests from the next message on."


SPAWN_SPECIALIST = Tool(
    name="spawn_specialist",
    description="Creates a new specialist agent. Only when the person asks for a new agent.",
    parameters=schema_of(Specialty),
    effect="write",
    title="Creating a specialist",
    call=checked(Specialty, _run),
    subject="description",
    foreign=False,
    examples=(
        "Create an agent that knows our expense rules.",
        "Make me a specialist for press releases.",
    ),
    offered=lambda context: context.spawn is not None,
)
