"""Model calls beside an agent's own, as steps of the run that they were made for."""

from agents.turns import ModelFinished
from database.records import Step


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
