"""Model servers that take liberties with OpenAI's protocol: an answer, or a clear reason."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import stamina
from aiohttp import web
from pydantic import BaseModel

from agents.errors import (
    ModelAnswerCut,
    ModelAnswerEmpty,
    ModelAnswerMalformed,
    ModelContextTooLong,
    ModelFailure,
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

Json = dict[str, Any]
Answer = Callable[[Json], web.Response | bytes]
"""What a request is answered with; bytes are a stream of events."""

HELLO = [Turn("system", "Be brief."), Turn("user", "Hello")]
SUM = ToolSpec(
    "sum", "Adds.", {"type": "object", "properties": {"x": {"type": "integer"}}}, ("Add 1.",)
)
DONE = b"data: [DONE]\n\n"


def chunk(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"choices": choices, **more}).encode() + b"\n\n"


def said(text: str) -> bytes:
    return chunk({"role": "assistant", "content": text}) + chunk({}, "stop") + DONE


HI = said("Hi there")


class StrangeServer:
    """`async with StrangeServer(answer) as server:` is asked at `server.url`."""

    def __init__(self, answer: Answer | bytes, label: str | None = "text/event-stream") -> None:
        self._answer = answer
        self._label = label
        self._stack = AsyncExitStack()
        self.asked: list[Json] = []
        self.slow_s = 0.0
        self.url = ""

    async def __aenter__(self) -> "StrangeServer":
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        answer = self._answer if isinstance(self._answer, bytes) else self._answer(body)
        if isinstance(answer, web.Response):
            return answer
        response = web.StreamResponse(headers={"Content-Type": self._label} if self._label else {})
        await response.prepare(request)
        pieces = answer.split(b"\0") if self.slow_s else [answer]
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(self.slow_s)
        return response

    async def events(self, tools: Sequence[ToolSpec] = (), **settings: Any) -> list[ModelEvent]:
        models = self.models(**settings)
        try:
            asked = models.stream(HELLO, tools=tools, temperature=0.5, max_tokens=99)
            return [event async for event in asked]
        finally:
            await models.aclose()

    def models(self, **settings: Any) -> Models:
        values: Json = {"base_url": self.url, "api_key": None, "strong": "m", "fast": "m"}
        return Models(ModelSettings(**(values | {"max_retries": 0} | settings)))


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def start(answer: Answer | bytes, **how: Any) -> StrangeServer:
            return await stack.enter_async_context(StrangeServer(answer, **how))

        yield start


def text_of(events: Sequence[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


WHOLE = {"choices": [{"message": {"role": "assistant", "content": "Hi there"}}]}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(HI, id="plain"),
        pytest.param(b": keep-alive\n\n" + HI.replace(b"\n", b"\r\n"), id="comments-and-crlf"),
        pytest.param(HI.replace(b"data: ", b"data:"), id="no-space"),
        pytest.param(HI.replace(b"\n\n", b"\n"), id="one-line-end"),
        pytest.param(HI.removesuffix(DONE), id="no-done"),
        pytest.param(chunk({"content": "Hi there"}) + DONE, id="no-finish-reason"),
        pytest.param(b"event: message\nid: 1\n" + HI, id="named-events"),
        pytest.param(b"\xef\xbb\xbf\n\n" + HI, id="byte-order-mark"),
        pytest.param(chunk({"role": "assistant", "content": None}) + HI, id="role-only"),
        pytest.param(
            chunk({"content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": " there"}]})
            + DONE,
            id="parts",
        ),
        pytest.param(b"data: " + json.dumps(WHOLE).encode() + b"\n\n" + DONE, id="whole-event"),
        pytest.param(json.dumps(WHOLE).encode(), id="not-streamed"),
        pytest.param(b"\n " + json.dumps(WHOLE, indent=1).encode(), id="not-streamed-indented"),
        pytest.param(
            chunk({"reasoning_content": "Hm."}) + chunk({"reasoning": "Hm!"}) + HI, id="reasoning"
        ),
        pytest.param(
            b"".join(chunk({"content": part}) for part in ("\n<th", "ink>Hm", "! </thi", "nk>\n"))
            + HI,
            id="thoughts-in-the-answer",
        ),
    ],
)
async def test_every_way_of_saying_it_is_understood(
    serve: Callable[..., Any], answer: bytes
) -> None:
    server = await serve(answer)
    assert text_of(await server.events()) == "Hi there"


@pytest.mark.parametrize("answer", [HI, json.dumps(WHOLE).encode()], ids=["stream", "document"])
@pytest.mark.parametrize("label", ["application/json", "text/plain", None])
async def test_it_is_known_by_its_bytes_whatever_it_is_called(
    serve: Callable[..., Any], answer: bytes, label: str | None
) -> None:
    server = await serve(answer, label=label)
    assert text_of(await server.events()) == "Hi there"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None),
        ({"total_tokens": 7}, None),
        ({"prompt_tokens": 5}, 5),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None}, 5),
    ],
)
async def test_odd_usage_costs_nobody_their_answer(
    serve: Callable[..., Any], usage: Json | None, tokens: int | None
) -> None:
    server = await serve(chunk({"content": "Hi"}, usage=usage) + chunk({}, "stop") + DONE)
    events = await server.events()
    assert text_of(events) == "Hi"
    assert isinstance(events[-1], ModelFinished)
    assert events[-1].input_tokens == tokens


def piece(**fields: Any) -> bytes:
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return chunk({"tool_calls": [fields | {"function": function}]})


ADD_TWICE = [ToolCall("a", "sum", {"x": 1}), ToolCall("b", "sum", {"x": 2})]
WHOLE_CALLS = [{"name": "sum", "arguments": '{"x": 1}'}, {"name": "sum", "arguments": '{"x": 2}'}]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param(
            piece(id="a", **WHOLE_CALLS[0]) + piece(id="b", **WHOLE_CALLS[1]),
            ADD_TWICE,
            id="whole-without-index",
        ),
        pytest.param(
            piece(index=0, id="a", **WHOLE_CALLS[0]) + piece(index=0, id="b", **WHOLE_CALLS[1]),
            ADD_TWICE,
            id="all-at-index-0",
        ),
        pytest.param(
            piece(id="a", name="sum", arguments='{"x"') + piece(arguments=": 1}"),
            ADD_TWICE[:1],
            id="fragments-without-index-or-id",
        ),
        pytest.param(
            piece(index=0, id="a", name="sum", arguments='{"x"')
            + piece(index=0, id="other", arguments=": 1}"),
            ADD_TWICE[:1],
            id="a-new-id-for-each-fragment",
        ),
        pytest.param(
            piece(index=0, id="a", name="sum", arguments='{"x"')
            + piece(index=0, id="a", name="sum", arguments=": 1}"),
            ADD_TWICE[:1],
            id="the-name-in-each-fragment",
        ),
        pytest.param(
            piece(index=0, id="a", name="sum")
            + piece(index=1, id="b", name="sum")
            + piece(index=0, arguments='{"x": 1}')
            + piece(index=1, arguments='{"x": 2}'),
            ADD_TWICE,
            id="interleaved",
        ),
        pytest.param(
            piece(index=0, id="a", name="sum", arguments={"x": 1}), ADD_TWICE[:1], id="an-object"
        ),
        pytest.param(
            piece(**WHOLE_CALLS[0]), [ToolCall("call_sum", "sum", {"x": 1})], id="without-id"
        ),
    ],
)
async def test_tool_calls_are_put_together(
    serve: Callable[..., Any], pieces: bytes, calls: list[ToolCall]
) -> None:
    server = await serve(pieces + chunk({}, "tool_calls") + DONE)
    events = await server.events([SUM])
    assert events[0] == ToolCallsRequested(tuple(calls))


async def test_a_tool_call_that_is_not_streamed_is_understood(serve: Callable[..., Any]) -> None:
    call = {"id": "a", "type": "function", "function": WHOLE_CALLS[0]}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    server = await serve(json.dumps({"choices": [{"message": message}]}).encode(), label=None)
    assert (await server.events([SUM]))[0] == ToolCallsRequested((ADD_TWICE[0],))


def refusing(*options: str, status: int = 400) -> Answer:
    """Checks strictly, and names the first option that it does not know."""

    def answer(body: Json) -> web.Response | bytes:
        for option in options:
            if option in body:
                detail = [{"type": "extra_forbidden", "loc": ["body", option], "msg": "Extra"}]
                return web.json_response({"detail": detail}, status=status)
        return HI

    return answer


@pytest.mark.parametrize("status", [400, 422])
async def test_options_that_a_server_refuses_are_left_out_from_then_on(
    serve: Callable[..., Any], status: int
) -> None:
    server = await serve(
        refusing("stream_options", "max_completion_tokens", "temperature", status=status)
    )
    models = server.models()
    for calls in (4, 5):
        events = [event async for event in models.stream(HELLO, temperature=0.5, max_tokens=99)]
        assert text_of(events) == "Hi there"
        assert len(server.asked) == calls
    await models.aclose()
    assert set(server.asked[-1]) == {"messages", "model", "stream", "max_tokens"}
    assert server.asked[-1]["max_tokens"] == 99


class Mood(BaseModel):
    mood: str


async def test_a_server_without_schemas_is_told_the_schema_in_words(
    serve: Callable[..., Any],
) -> None:
    def answer(body: Json) -> web.Response | bytes:
        if "response_format" in body:
            error = {"message": "This response_format type is unavailable now"}
            return web.json_response({"error": error}, status=400)
        return said('{"mood": "good"}')

    server = await serve(answer)
    models = server.models()
    mood, _ = await models.structured(HELLO, Mood)
    await models.aclose()
    assert mood == Mood(mood="good")
    assert '"mood"' in server.asked[-1]["messages"][-1]["content"]


@pytest.mark.parametrize("follows_schemas", [True, False])
async def test_a_server_without_tools_chooses_by_schema_or_does_without(
    serve: Callable[..., Any], follows_schemas: bool
) -> None:
    def answer(body: Json) -> web.Response | bytes:
        if "tools" in body:
            error = {"error": {"message": "library/m does not support tools"}}
            return web.json_response(error, status=400)
        if follows_schemas and "response_format" in body:
            asks = body["response_format"]["json_schema"]["name"]
            return said('{"tool": "sum"}' if asks == "choice" else '{"x": 1}')
        return HI

    server = await serve(answer)
    models = server.models()
    for _ in range(2):
        events = [event async for event in models.stream(HELLO, tools=[SUM])]
        if follows_schemas:
            assert isinstance(events[0], ToolCallsRequested)
            assert (events[0].calls[0].name, events[0].calls[0].arguments) == ("sum", {"x": 1})
        else:
            assert text_of(events) == "Hi there"
    await models.aclose()
    assert sum("tools" in body for body in server.asked) == 1


async def test_a_model_that_reasons_is_waited_for(serve: Callable[..., Any]) -> None:
    thought = chunk({"reasoning_content": "Hm."}) + b"\0"
    server = await serve(thought * 6 + HI)
    server.slow_s = 0.25
    assert text_of(await server.events(timeout_s=1.0)) == "Hi there"
    silent = await serve(b": still here\n\n\0" * 6 + HI)
    silent.slow_s = 0.1
    with pytest.raises(ModelTimeout):
        await silent.events(timeout_s=0.3)


def page(status: int) -> Answer:
    html = "<!doctype html><html><head><title>Oops</title></head><body>nginx</body></html>"
    return lambda _: web.Response(text=html, status=status, content_type="text/html")


def error(status: int, body: Any, **headers: str) -> Answer:
    return lambda _: web.json_response(body, status=status, headers=headers)


def in_stream(payload: Json) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


SOON = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (page(200), ModelAnswerMalformed, "usually ending in /v1"),
        (page(404), ModelRefusedRequest, "usually ends in /v1"),
        (error(404, {"detail": "Not Found"}), ModelRefusedRequest, "usually ends in /v1"),
        (error(404, {"error": "model 'm' not found"}), ModelRefusedRequest, "model 'm' not found"),
        (
            error(404, {"error": {"message": "The model m does not exist"}}),
            ModelRefusedRequest,
            "does not exist",
        ),
        (page(502), ModelUnavailable, r"\(HTTP 502\)\. Try again"),
        (page(401), ModelRefusedKey, "OPENAI_API_KEY"),
        (error(401, {"detail": "Unauthorized"}), ModelRefusedKey, "OPENAI_API_KEY"),
        (error(429, {}, **{"Retry-After": SOON}), ModelRateLimited, r"in 8\d{4} seconds"),
        (
            error(429, {}, **{"Retry-After": SOON.removesuffix(" GMT")}),
            ModelRateLimited,
            r"in 8\d{4} seconds",
        ),
        (error(429, {}, **{"Retry-After": "soon"}), ModelRateLimited, "in a moment"),
        (error(429, {}, **{"Retry-After": "nan"}), ModelRateLimited, "in a moment"),
        (
            error(400, {"message": "This model's maximum context length is 10 tokens"}),
            ModelContextTooLong,
            "new thread",
        ),
        (
            error(400, {"error": {"message": "the request exceeds the available context size"}}),
            ModelContextTooLong,
            "new thread",
        ),
        (
            in_stream({"error": {"message": "out of memory", "code": 500}}),
            ModelUnavailable,
            "out of memory",
        ),
        (in_stream({"error": "out of memory"}), ModelRefusedRequest, "out of memory"),
        (
            in_stream({"object": "error", "message": "too many requests", "code": 429}),
            ModelRateLimited,
            "slow down",
        ),
        (b"", ModelAnswerCut, "broke off"),
        (chunk({"reasoning_content": "Hm."}) + DONE, ModelAnswerEmpty, "nothing"),
        (chunk({"content": "<think>Hm"}, "length") + DONE, ModelAnswerEmpty, "more tokens"),
        (b"data: {half\n\n", ModelAnswerMalformed, "OPENAI_BASE_URL"),
        (b"[]", ModelAnswerMalformed, "OPENAI_BASE_URL"),
        (b'{"result": "ok"}', ModelAnswerEmpty, "nothing"),
        (b"Hello, I am no model", ModelAnswerMalformed, "OPENAI_BASE_URL"),
    ],
)
async def test_what_is_no_answer_has_a_reason_in_words(
    serve: Callable[..., Any], answer: Answer | bytes, kind: type[ModelFailure], says: str
) -> None:
    server = await serve(answer)
    with pytest.raises(kind, match=says) as caught:
        await server.events()
    assert type(caught.value) is kind
    assert "<" not in str(caught.value)
    assert "None" not in str(caught.value)


@pytest.mark.parametrize("words", ["<", "<th", "Think: </think>", " a <think> b", "<thin ice>"])
@pytest.mark.parametrize("label", ["text/event-stream", "application/json"])
async def test_what_only_looks_like_a_thought_is_said(
    serve: Callable[..., Any], words: str, label: str
) -> None:
    whole = {"choices": [{"message": {"content": words}}]}
    streamed = label == "text/event-stream"
    server = await serve(said(words) if streamed else json.dumps(whole).encode(), label=label)
    assert text_of(await server.events()) == words


async def test_an_error_in_the_middle_keeps_what_was_said(serve: Callable[..., Any]) -> None:
    server = await serve(chunk({"content": "Half"}) + in_stream({"error": {"message": "broken"}}))
    models = server.models()
    events = models.stream(HELLO)
    assert await anext(events) == TextDelta("Half")
    with pytest.raises(ModelRefusedRequest, match="broken"):
        await anext(events)
    await models.aclose()
