import json

import pytest

from agents.errors import ModelAnswerCut, ModelAnswerEmpty, ModelAnswerMalformed
from agents.streaming import AnswerReader, ProviderReported, Usage


def event(delta: object = None, finish: str | None = None, **extra: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"choices": choices, **extra}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
WHOLE = (
    event({"role": "assistant", "content": ""})
    + event({"content": "Héllo"})
    + event({"content": " wörld"})
    + event({}, "stop")
    + event(usage=USAGE)
    + DONE
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
def test_text_usage_and_end_are_read_wherever_the_bytes_are_cut(size: int) -> None:
    reader = AnswerReader()
    pieces = [reader.feed(WHOLE[i : i + size]) for i in range(0, len(WHOLE), size)]
    rest, calls = reader.finish()
    assert "".join(pieces) + rest == "Héllo wörld"
    assert calls == ()
    assert reader.usage == Usage(input_tokens=9, output_tokens=2, cached=4)
    assert reader.finish_reason == "stop"


def test_all_that_arrived_at_once_is_one_piece() -> None:
    assert AnswerReader().feed(WHOLE) == "Héllo wörld"


def test_comments_carriage_returns_and_a_missing_last_line_end_are_no_problem() -> None:
    reader = AnswerReader()
    data = b": ping\r\n\r\n" + event({"content": "a"}).replace(b"\n", b"\r\n") + b"data: [DONE]"
    assert reader.feed(data) == "a"
    assert reader.finish() == ("", ())


def test_a_tool_call_is_put_together_from_its_pieces() -> None:
    reader = AnswerReader()
    pieces = [
        {"index": 1, "id": "b", "function": {"name": "time", "arguments": ""}},
        {"index": 0, "id": "a", "function": {"name": "sum", "arguments": '{"x": '}},
        {"index": 0, "function": {"arguments": "1}"}},
    ]
    for piece in pieces:
        assert reader.feed(event({"tool_calls": [piece]})) == ""
    reader.feed(event({}, "tool_calls") + DONE)
    _, calls = reader.finish()
    assert [(call.id, call.name, dict(call.arguments)) for call in calls] == [
        ("a", "sum", {"x": 1}),
        ("b", "time", {}),
    ]


@pytest.mark.parametrize("arguments", ['{"x": ', "[1]", '"text"'])
def test_arguments_that_are_no_object_are_malformed(arguments: str) -> None:
    reader = AnswerReader()
    call = {"index": 0, "id": "a", "function": {"name": "sum", "arguments": arguments}}
    reader.feed(event({"tool_calls": [call]}, "tool_calls") + DONE)
    with pytest.raises(ModelAnswerMalformed, match="sum"):
        reader.finish()


def test_a_refusal_is_text_with_its_own_finish_reason() -> None:
    reader = AnswerReader()
    assert reader.feed(event({"refusal": "I will not."})) == "I will not."
    reader.feed(DONE)
    reader.finish()
    assert reader.finish_reason == "refusal"


def test_an_end_without_a_word_of_it_is_a_cut() -> None:
    reader = AnswerReader()
    reader.feed(event({"content": "Half of"}))
    with pytest.raises(ModelAnswerCut):
        reader.finish()


@pytest.mark.parametrize(
    ("reason", "says"),
    [("stop", "Ask again"), ("length", "more tokens"), ("content_filter", "filter")],
)
def test_an_answer_without_words_is_empty_and_says_what_to_do(reason: str, says: str) -> None:
    reader = AnswerReader()
    reader.feed(event({"content": " \n"}) + event({}, reason) + DONE)
    with pytest.raises(ModelAnswerEmpty, match=says):
        reader.finish()


@pytest.mark.parametrize(
    "payload", [b"{half", b"[]", b'"text"', b'{"choices": 3}', b'{"choices": [{"delta": "x"}]}']
)
def test_what_is_no_chat_completion_is_malformed(payload: bytes) -> None:
    with pytest.raises(ModelAnswerMalformed, match="OPENAI_BASE_URL"):
        AnswerReader().feed(b"data: " + payload + b"\n\n")


def test_an_error_in_the_stream_is_reported_with_its_code() -> None:
    with pytest.raises(ProviderReported) as caught:
        AnswerReader().feed(b'data: {"error": {"code": 503, "message": "overloaded"}}\n\n')
    assert (caught.value.code, caught.value.message) == ("503", "overloaded")
