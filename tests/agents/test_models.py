import asyncio
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Literal

import pytest
import stamina
from pydantic import BaseModel, SecretStr

from agents.errors import (
    ModelAnswerCut,
    ModelAnswerEmpty,
    ModelAnswerMalformed,
    ModelContextTooLong,
    ModelFailure,
    ModelPaused,
    ModelRateLimited,
    ModelRefusedKey,
    ModelRefusedRequest,
    ModelTimeout,
    ModelUnavailable,
)
from agents.models import Models, ModelSettings
from agents.turns import (
    ModelEvent,
    ModelFinished,
    TextDelta,
    ToolCall,
    ToolCallsRequested,
    ToolSpec,
    Turn,
)
from database.errors import ConfigurationError
from tests.model_server.server import ScriptedModel, answer, failure, tool_call
from tests.patience import PATIENCE_S

KEY = "token-of-a-gateway-0123456789abcdef"
HELLO = [Turn("system", "Be brief."), Turn("user", "Hello")]
Make = Callable[..., Models]


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
async def make(scripted_model: ScriptedModel) -> AsyncIterator[Make]:
    made: list[Models] = []

    def models(**changes: Any) -> Models:
        values: dict[str, Any] = {
            "base_url": scripted_model.base_url,
            "api_key": SecretStr(KEY),
            "strong": "gpt-5-mini",
            "fast": "gpt-5-nano",
        }
        made.append(Models(ModelSettings(**(values | changes))))
        return made[-1]

    yield models
    for one in made:
        await one.aclose()


async def events_of(models: Models, turns: Sequence[Turn] = HELLO, **how: Any) -> list[ModelEvent]:
    return [event async for event in models.stream(turns, **how)]


def text_of(events: Sequence[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_an_answer_streams_and_ends_with_what_it_took(
    make: Make, scripted_model: ScriptedModel
) -> None:
    await scripted_model.script([answer("Good morning to you, dear reader.", latency=5)])
    events = await events_of(make(), temperature=0.3, max_tokens=50)
    assert text_of(events) == "Good morning to you, dear reader."
    finished = events[-1]
    assert isinstance(finished, ModelFinished)
    assert (finished.model, finished.finish_reason) == ("gpt-5-mini", "stop")
    assert finished.input_tokens is not None
    assert finished.output_tokens is not None
    assert finished.cost_usd is None  # nobody knows the price of this address
    assert finished.first_token_ms is not None
    assert 0 < finished.first_token_ms <= finished.duration_ms
    [call] = await scripted_model.calls()
    assert call["model"] == "gpt-5-mini"
    assert call["temperature"] == 0.3
    assert call["max_completion_tokens"] == 50
    assert call["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]


async def test_names_of_models_are_resolved(make: Make, scripted_model: ScriptedModel) -> None:
    models = make()
    await scripted_model.script([answer("ok")])
    for name in ("fast", "strong", "o4-other"):
        await events_of(models, model=name)
    asked = [call["model"] for call in await scripted_model.calls()]
    assert asked == ["gpt-5-nano", "gpt-5-mini", "o4-other"]
    assert models.resolve("fast") == "gpt-5-nano"


@pytest.mark.parametrize(
    ("fixture", "kind", "says", "calls"),
    [
        (failure(401), ModelRefusedKey, "OPENAI_API_KEY", 1),
        (failure(403), ModelRefusedKey, "OPENAI_API_KEY", 1),
        (failure(404, "no such model"), ModelRefusedRequest, "VIRTUOUS6_MODEL", 1),
        (failure(400, "context_length_exceeded"), ModelContextTooLong, "new thread", 1),
        (failure(429, retry_after=0), ModelRateLimited, "0 seconds", 3),
        (failure(429, retry_after=90), ModelRateLimited, "90 seconds", 1),
        (failure(500), ModelUnavailable, "HTTP 500", 3),
        (failure(503), ModelUnavailable, "HTTP 503", 3),
        (answer(" "), ModelAnswerEmpty, "Ask again", 3),
        (answer("x", chaos={"malformedRate": 1}), ModelAnswerMalformed, "OPENAI_BASE_URL", 1),
        (answer("x", chaos={"disconnectRate": 1}), ModelUnavailable, "doctor", 3),
    ],
)
async def test_each_failure_has_its_class_its_advice_and_its_attempts(
    make: Make,
    scripted_model: ScriptedModel,
    fixture: dict[str, Any],
    kind: type[ModelFailure],
    says: str,
    calls: int,
) -> None:
    await scripted_model.script([fixture])
    with pytest.raises(kind, match=says) as caught:
        await events_of(make())
    assert type(caught.value) is kind
    assert len(await scripted_model.journal()) == calls


async def test_an_empty_account_is_the_keys_fault(
    make: Make, scripted_model: ScriptedModel
) -> None:
    broke = failure(429)
    broke["response"]["error"]["code"] = "insufficient_quota"
    await scripted_model.script([broke])
    with pytest.raises(ModelRefusedKey, match="credit"):
        await events_of(make())


async def test_a_failure_that_passes_is_not_seen(make: Make, scripted_model: ScriptedModel) -> None:
    await scripted_model.script(
        [failure(429, retry_after=0, when={"sequenceIndex": 0}), answer("Recovered.")]
    )
    assert text_of(await events_of(make())) == "Recovered."
    assert len(await scripted_model.calls()) == 2


async def test_a_server_that_is_not_there_is_unavailable(make: Make) -> None:
    with pytest.raises(ModelUnavailable, match="OPENAI_BASE_URL"):
        await events_of(make(base_url="http://127.0.0.1:9/v1"))


async def test_an_answer_that_breaks_off_is_cut_and_not_begun_again(
    make: Make, scripted_model: ScriptedModel
) -> None:
    await scripted_model.script([answer("word " * 40, latency=10, truncateAfterChunks=3)])
    heard: list[ModelEvent] = []

    async def listen() -> None:
        async for event in make().stream(HELLO):
            heard.append(event)

    with pytest.raises(ModelAnswerCut):
        await listen()
    assert text_of(heard).startswith("word")
    assert len(await scripted_model.calls()) == 1


@pytest.mark.parametrize(
    ("pace", "patience"),
    [
        ({"streamingProfile": {"ttft": 5000}}, {"timeout_s": 0.2}),
        ({"latency": 400}, {"silence_s": 0.1}),
    ],
)
async def test_a_model_that_says_nothing_for_too_long_times_out(
    make: Make, scripted_model: ScriptedModel, pace: dict[str, Any], patience: dict[str, float]
) -> None:
    await scripted_model.script([answer("word " * 40, **pace)])
    with pytest.raises(ModelTimeout):
        await events_of(make(max_retries=0, **patience))


async def test_a_model_that_keeps_failing_is_left_alone_and_others_are_not(
    make: Make, scripted_model: ScriptedModel
) -> None:
    models = make(max_retries=0)
    await scripted_model.script([failure(500, when={"model": "gpt-5-mini"}), answer("Well.")])
    for _ in range(5):
        with pytest.raises(ModelUnavailable):
            await events_of(models)
    with pytest.raises(ModelPaused, match="30 seconds"):
        await events_of(models)
    assert len(await scripted_model.calls()) == 5
    assert text_of(await events_of(models, model="fast")) == "Well."


async def test_wrong_requests_do_not_make_a_model_look_sick(
    make: Make, scripted_model: ScriptedModel
) -> None:
    models = make()
    await scripted_model.script([failure(404)])
    for _ in range(7):
        with pytest.raises(ModelRefusedRequest):
            await events_of(models)


async def test_calls_beyond_the_limit_wait_for_a_slot(
    make: Make, scripted_model: ScriptedModel
) -> None:
    await scripted_model.script([answer("word " * 40, latency=20)])
    models = make(concurrency=1)
    async with aclosing(models.stream(HELLO)) as first:
        await anext(first)
        second = asyncio.create_task(events_of(models))
        await anext(first)
        assert len(await scripted_model.calls()) <= 1
        assert not second.done()
    assert text_of(await second) == "word " * 40


async def test_closing_the_stream_hangs_up(make: Make) -> None:
    """The scripted server does not notice a caller who hangs up, so this one listens itself."""
    hung_up = asyncio.Event()

    async def speak_forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        writer.write(b'data: {"choices": [{"delta": {"content": "word"}}]}\n\n')
        while await reader.read(1000):
            pass
        hung_up.set()
        writer.close()

    async with await asyncio.start_server(speak_forever, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        events = make(base_url=f"http://{host}:{port}/v1").stream(HELLO)
        assert await anext(events) == TextDelta("word")
        await events.aclose()
        async with asyncio.timeout(PATIENCE_S):
            await hung_up.wait()


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_no_error_repeats_the_key(
    make: Make, scripted_model: ScriptedModel, status: int
) -> None:
    words = f"Incorrect API key provided: {KEY}, also known as sk-test-****cdef."
    await scripted_model.script([failure(status, words)])
    with pytest.raises(ModelFailure) as caught:
        await events_of(make(max_retries=0))
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert KEY not in shown
    assert "cdef" not in shown


class Mood(BaseModel):
    mood: Literal["good", "bad"]
    why: str | None = None


async def test_a_structured_answer_is_asked_for_by_schema(
    make: Make, scripted_model: ScriptedModel
) -> None:
    await scripted_model.script([answer('```json\n{"mood": "good", "why": null}\n```')])
    mood, finished = await make().structured(HELLO, Mood)
    assert mood == Mood(mood="good")
    assert finished.model == "gpt-5-mini"
    [call] = await scripted_model.calls()
    asked = call["response_format"]["json_schema"]
    assert (asked["name"], asked["strict"]) == ("Mood", True)
    assert asked["schema"]["required"] == ["mood", "why"]


async def test_an_open_object_is_not_asked_for_strictly(
    make: Make, scripted_model: ScriptedModel
) -> None:
    class Scores(BaseModel):
        scores: dict[str, int]

    await scripted_model.script([answer('{"scores": {"a": 1}}')])
    found, _ = await make().structured(HELLO, Scores)
    assert found.scores == {"a": 1}
    [call] = await scripted_model.calls()
    assert call["response_format"]["json_schema"]["strict"] is False


async def test_an_answer_that_does_not_fit_is_repaired_once(
    make: Make, scripted_model: ScriptedModel
) -> None:
    await scripted_model.script(
        [answer('{"mood": "fine"}', when={"sequenceIndex": 0}), answer('{"mood": "bad"}')]
    )
    mood, finished = await make().structured(HELLO, Mood)
    assert mood.mood == "bad"
    first, second = await scripted_model.calls()
    assert second["messages"][:2] == first["messages"]
    assert "mood" in second["messages"][-1]["content"]
    assert finished.output_tokens is not None
    assert finished.first_token_ms is not None
    assert finished.first_token_ms > 0


async def test_a_second_answer_that_does_not_fit_is_malformed(
    make: Make, scripted_model: ScriptedModel
) -> None:
    await scripted_model.script([answer('{"mood": "fi')])
    with pytest.raises(ModelAnswerMalformed, match="stronger model"):
        await make().structured(HELLO, Mood)
    assert len(await scripted_model.calls()) == 2


SUM = ToolSpec(
    "calculator",
    "Computes an expression.",
    {"type": "object", "properties": {"expression": {"type": "string"}}},
)
TIME = ToolSpec("current_time", "The time now.", {"type": "object", "properties": {}})


async def test_a_model_that_calls_tools_is_given_them(
    make: Make, scripted_model: ScriptedModel
) -> None:
    await scripted_model.script(
        [
            answer("It is 4.", when={"hasToolResult": True}),
            tool_call("calculator", {"expression": "2+2"}),
        ]
    )
    models = make()
    events = await events_of(models, tools=[SUM, TIME])
    [request] = [event for event in events if isinstance(event, ToolCallsRequested)]
    [call] = request.calls
    assert (call.name, dict(call.arguments)) == ("calculator", {"expression": "2+2"})
    assert isinstance(events[-1], ModelFinished)
    assert events[-1].finish_reason == "tool_calls"
    more = [*HELLO, Turn("assistant", "", (call,)), Turn("tool", "4", tool_call_id=call.id)]
    assert text_of(await events_of(models, more, tools=[SUM, TIME])) == "It is 4."
    first, _ = await scripted_model.calls()
    assert [tool["function"]["name"] for tool in first["tools"]] == ["calculator", "current_time"]


def asked_by_schema(choose: str, arguments: str, text: str) -> list[dict[str, Any]]:
    return [
        answer(choose, when={"responseFormat": "json_schema", "sequenceIndex": 0}),
        answer(arguments, when={"responseFormat": "json_schema"}),
        answer(text),
    ]


async def test_a_model_that_cannot_call_tools_is_asked_by_schema(
    make: Make, scripted_model: ScriptedModel
) -> None:
    await scripted_model.script(
        asked_by_schema('{"tool": "calculator"}', '{"expression": "2+2"}', "never")
    )
    events = await events_of(make(native_tools=False), tools=[SUM, TIME])
    request, finished = events
    assert isinstance(request, ToolCallsRequested)
    assert dict(request.calls[0].arguments) == {"expression": "2+2"}
    assert isinstance(finished, ModelFinished)
    assert finished.finish_reason == "tool_calls"
    choice, arguments = await scripted_model.calls()
    enum = choice["response_format"]["json_schema"]["schema"]["properties"]["tool"]["enum"]
    assert enum[:2] == ["calculator", "current_time"]
    assert len(enum) == 3
    assert arguments["response_format"]["json_schema"]["schema"] == SUM.parameters
    for asked in (choice, arguments):
        assert "Hello" in str(asked["messages"])
    assert "tools" not in choice


async def test_a_tool_without_arguments_needs_no_second_question(
    make: Make, scripted_model: ScriptedModel
) -> None:
    await scripted_model.script(asked_by_schema('{"tool": "current_time"}', "never", "never"))
    events = await events_of(make(native_tools=False), tools=[SUM, TIME])
    assert isinstance(events[0], ToolCallsRequested)
    assert events[0].calls[0].arguments == {}
    assert len(await scripted_model.calls()) == 1


async def test_without_need_of_a_tool_the_answer_streams(
    make: Make, scripted_model: ScriptedModel
) -> None:
    models = make(native_tools=False)
    await scripted_model.script([])
    probe = await _choices(models, scripted_model)
    nothing = f'{{"tool": "{probe[-1]}"}}'
    await scripted_model.script(asked_by_schema(nothing, "never", "Hello there."))
    events = await events_of(models, tools=[SUM])
    assert text_of(events) == "Hello there."
    finished = events[-1]
    assert isinstance(finished, ModelFinished)
    _, free = await scripted_model.calls()
    assert "response_format" not in free


async def test_a_call_that_was_just_made_is_not_made_again(
    make: Make, scripted_model: ScriptedModel
) -> None:
    call = ToolCall("c1", "calculator", {"expression": "2+2"})
    turns = [*HELLO, Turn("assistant", "", (call,)), Turn("tool", "4", tool_call_id="c1")]
    await scripted_model.script(
        asked_by_schema('{"tool": "calculator"}', '{"expression": "2+2"}', "It is 4.")
    )
    events = await events_of(make(native_tools=False), turns, tools=[SUM])
    assert text_of(events) == "It is 4."
    roles = {message["role"] for one in await scripted_model.calls() for message in one["messages"]}
    assert "tool" not in roles


async def _choices(models: Models, scripted_model: ScriptedModel) -> list[str]:
    with pytest.raises(ModelFailure):
        await events_of(models, tools=[SUM])
    [call] = await scripted_model.calls()
    schema = call["response_format"]["json_schema"]["schema"]
    names: list[str] = schema["properties"]["tool"]["enum"]
    return names


def test_settings_without_any_model_say_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY or OPENAI_BASE_URL"):
        ModelSettings(base_url=None, api_key=None, strong="a", fast="b")


@pytest.mark.parametrize("key", ["", "sk-a b", "sk-a\n", "sk-ü"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="Copy the key") as caught:
        ModelSettings(base_url=None, api_key=SecretStr(key), strong="a", fast="b")
    assert not key or key not in str(caught.value)


def test_importing_the_adapter_does_not_import_openai() -> None:
    code = "import agents.models, agents.weights, sys; sys.exit('openai' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_a_provider_that_does_not_stream_is_understood(make: Make) -> None:
    body = b'{"choices": [{"message": {"content": "All at once."}, "finish_reason": "stop"}]}'

    async def answer_whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        writer.write(head.encode() + b"\r\n\r\n" + body)
        writer.close()

    async with await asyncio.start_server(answer_whole, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        events = await events_of(make(base_url=f"http://{host}:{port}/v1"))
    assert text_of(events) == "All at once."
    assert isinstance(events[-1], ModelFinished)
    assert events[-1].input_tokens is None
    assert events[-1].cost_usd is None
