from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from agents.errors import ModelContextTooLong
from agents.local_model import EmbeddedModel
from agents.models import Models
from agents.turns import ModelFinished, TextDelta, ToolCallsRequested, ToolSpec, Turn
from agents.weights import installed, path_of
from database.errors import ConfigurationError
from orchestrator.settings import load_settings

QUESTION = [Turn("user", "What is the capital of France?")]


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedModel]:
    """The real tiny model, in this process."""
    models_dir = load_settings().models_dir
    if "tiny" not in installed(models_dir):
        pytest.skip(f"no weights in {models_dir}: run `virtuous6 model pull tiny` first")
    async with EmbeddedModel(path_of("tiny", models_dir), "tiny") as running:
        yield running


@pytest.fixture
async def models(embedded: EmbeddedModel) -> AsyncIterator[Models]:
    opened = Models(embedded.settings)
    yield opened
    await opened.aclose()


async def test_a_real_model_streams_an_answer_in_this_process(models: Models) -> None:
    events = [e async for e in models.stream(QUESTION, temperature=0, max_tokens=30)]
    *pieces, finished = events
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert len(text.split()) > 3
    assert len(pieces) > 1
    assert isinstance(finished, ModelFinished)
    assert finished.model == "tiny"
    assert finished.input_tokens is not None
    assert finished.input_tokens > 5
    assert finished.output_tokens is not None
    assert 0 < finished.output_tokens <= 30
    assert finished.cost_usd is None


async def test_no_call_meets_a_connection_that_was_hung_up(embedded: EmbeddedModel) -> None:
    models = Models(replace(embedded.settings, max_retries=0))
    for number in range(30):
        events = [e async for e in models.stream(QUESTION, max_tokens=1 + number % 3)]
        assert isinstance(events[-1], ModelFinished)
    await models.aclose()


async def test_a_grammar_holds_even_a_tiny_model_to_the_form(models: Models) -> None:
    class Review(BaseModel):
        mood: Literal["good", "bad"]

    review, _ = await models.structured([Turn("user", "I love this lamp. Good or bad?")], Review)
    assert review.mood in ("good", "bad")


async def test_tools_are_chosen_and_filled_in_by_grammar(models: Models) -> None:
    form = {
        "type": "object",
        "properties": {"expression": {"type": "string", "maxLength": 40}},
        "required": ["expression"],
    }
    tool = ToolSpec("calculator", "Computes an expression.", form, ("What is 3 * 4?",))
    turns = [Turn("user", "What is 12 * 12?")]
    events = [e async for e in models.stream(turns, temperature=0, max_tokens=20, tools=[tool])]
    assert isinstance(events[-1], ModelFinished)
    for event in events:
        if isinstance(event, ToolCallsRequested):
            assert isinstance(event.calls[0].arguments["expression"], str)


async def test_a_closed_stream_frees_the_model_at_once(models: Models) -> None:
    long = [Turn("user", "Write a very long story.")]
    async with aclosing(models.stream(long, max_tokens=1000)) as events:
        await anext(events)
    finished = [e async for e in models.stream(QUESTION, max_tokens=5)][-1]
    assert isinstance(finished, ModelFinished)


async def test_a_conversation_that_does_not_fit_is_said_so(models: Models) -> None:
    turns = [Turn("user", "word " * 20_000)]
    with pytest.raises(ModelContextTooLong, match="new thread"):
        async for _ in models.stream(turns):
            pass


async def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="virtuous6 model pull small"):
        await EmbeddedModel(tmp_path / "none.gguf").__aenter__()


async def test_a_broken_file_says_what_to_do(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 1000)
    with pytest.raises(ConfigurationError, match="delete it"):
        await EmbeddedModel(broken).__aenter__()
