"""Model calls beside an agent's own: as steps of the run they were made for, or as its own run."""

from dataclasses import replace

from agents.turns import ModelFinished
from database.records import Run, Step


def step_of(purpose: str, end: ModelFinished) -> Step:
    """A model call that ended well; `purpose` says what for."""
    return Step(
        position=0,
        kind="model",
        name=end.model,
        arguments={"purpose": purpose},
        ok=True,
        duration_ms=end.duration_ms,
        input_tokens=end.input_tokens,
        output_tokens=end.output_tokens,
        cost_usd=end.cost_usd,
    )


def failed_step(purpose: str, model: str, problem: str, duration_ms: float) -> Step:
    """A model call that failed: what it took is not known."""
    return Step(0, "model", model, {"purpose": purpose}, False, problem, duration_ms)


def with_step(run: Run, step: Step) -> Run:
    """A run that is nothing but this model call, with what it took."""
    return replace(
        run,
        duration_ms=step.duration_ms,
        model=step.name,
        error=step.error,
        input_tokens=step.input_tokens,
        output_tokens=step.output_tokens,
        cost_usd=step.cost_usd,
        steps=(step,),
    )
