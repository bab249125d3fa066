"""Replays a workflow that somebody saved."""

from pydantic import BaseModel, Field

from agents.ports import ToolContext
from agents.tools.base import Tool, ToolFailed, checked, schema_of
from database.errors import UnknownName


class WorkflowRun(BaseModel):
    """Which workflow, with which inputs."""

    name: str = Field(min_length=1, max_length=200, description="Name of the saved workflow")
    inputs: dict[str, str] = Field(
        default_factory=dict, description="New values for its inputs, by name"
    )


async def _run(arguments: WorkflowRun, context: ToolContext) -> str:
    name = arguments.name.strip()
    try:
        return await context.workflows.run_inline(name, arguments.inputs, context.reader)
    except UnknownName:
        names = await context.workflows.names(context.reader)
        known = f"There are: {', '.join(names)}" if names else "None is saved yet"
        raise ToolFailed(f"There is no workflow '{name}'. {known}") from None


RUN_WORKFLOW = Tool(
    name="run_workflow",
    description="Runs a saved workflow by its name. Only when the person asks to run one.",
    parameters=schema_of(WorkflowRun),
    effect="write",
    title="Running the workflow",
    call=checked(WorkflowRun, _run),
    subject="name",
    examples=(
        "Run the weekly-report workflow.",
        "Run onboarding for Maria.",
    ),
    # Each tool on offer costs a small model decisions; this one is of use only where one is named.
    offered=lambda context: bool(context.named_workflows),
)
