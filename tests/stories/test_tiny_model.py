"""The whole house on the embedded model: nothing is scripted, every token is the model's own."""

import pytest

from agents.weights import installed
from orchestrator.settings import load_settings
from slack_interface.slack_bot import Mode
from tests.people import eventually, find
from tests.stories.story import Story


@pytest.fixture
def transport() -> Mode:
    """One of them: the demo in a browser asks the same model over the other."""
    return "http"


@pytest.fixture
async def tiny_story(quiet_story: Story) -> Story:
    """People in a workspace whose assistant thinks with the tiny model in this process."""
    models_dir = load_settings().models_dir
    if "tiny" not in installed(models_dir):
        pytest.skip(f"no weights in {models_dir}: run `virtuous6 model pull tiny` first")
    quiet_story.settings = quiet_story.settings.model_copy(
        update={"openai_base_url": None, "virtuous6_models_dir": models_dir}
    )
    await quiet_story.start(weights="tiny")
    return quiet_story


@pytest.mark.timeout(180)
async def test_a_real_answer_streams_is_recorded_judged_and_counted(tiny_story: Story) -> None:
    story = tiny_story
    ts = await story.say("Hello! What is the capital of France?")

    async def answered() -> bool:
        return bool(await story.runs())

    await eventually(answered, "the tiny model answers", timeout=90)
    [reply] = await story.replies(ts)
    [run] = await story.runs()
    assert run.error is None
    assert run.model == "tiny"
    assert run.reply
    assert len(run.reply.split()) > 3
    assert run.reply.split()[:5] == reply["text"].split()[:5]
    assert find(reply["blocks"], "feedback_buttons")
    assert run.input_tokens
    assert run.input_tokens > 20
    assert run.output_tokens
    assert run.cost_usd is None, "an embedded model has no price"
    assert run.first_token_ms
    assert run.duration_ms
    assert run.first_token_ms < run.duration_ms, "it streamed"
    assert run.steps[-1].kind == "model"

    await story.rate(reply, "positive")
    await story.whispers()
    await story.command("/metrics", "me")
    shown = (await story.whispers(count=2))[-1]["text"]
    assert "Success: 100% (1 judged)" in shown
    assert f"{run.input_tokens:,} read, {run.output_tokens:,} written" in shown
    assert "Cost: unknown" in shown
