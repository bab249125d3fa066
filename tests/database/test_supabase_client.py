"""What Supabase says, and what it means; the client's own rules (on lite)."""

import httpx
import pytest

from database.errors import RecordAway, RecordMisconfigured, RecordRefused, StoreError
from database.records import Feedback, Message
from database.supabase_client import SupabaseClient, explained


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (400, {"code": "23514", "message": 'new row violates check "c"'}, RecordRefused),
        (400, {"code": "22P02", "message": 'invalid input syntax: "hunter2"'}, RecordRefused),
        (409, {"code": "23505", "message": "duplicate key"}, RecordRefused),
        (500, {"code": "SUP", "message": "PostgresError: row violates check"}, RecordRefused),
        (413, {}, RecordRefused),
        (401, {"message": "Invalid API key"}, RecordMisconfigured),
        (403, {"code": "42501", "message": "violates row-level security"}, RecordMisconfigured),
        (404, {"code": "PGRST205", "message": "no table"}, RecordMisconfigured),
        (404, {"code": "PGRST202", "message": "no function"}, RecordMisconfigured),
        (400, {"code": "42703", "message": "no column"}, RecordMisconfigured),
        (500, {"code": "57014", "message": "statement timeout"}, RecordAway),
        (503, {"code": "PGRST002", "message": "no schema cache"}, RecordAway),
        (429, {}, RecordAway),
        (502, {}, RecordAway),
        (540, {}, RecordAway),
    ],
)
def test_what_an_error_means(status: int, body: dict[str, str], meaning: type[Exception]) -> None:
    error = explained(httpx.Response(status, json=body, headers={"Retry-After": "7"}), "keep runs")
    assert type(error) is meaning
    assert "hunter2" not in str(error)
    if isinstance(error, RecordAway):
        assert error.retry_after == 7.0
    if isinstance(error, RecordRefused):
        assert error.code == body.get("code", "413")


async def test_a_refused_row_is_not_quoted(supabase_client: SupabaseClient) -> None:
    rating = Feedback("f1", "r1", "rating", 1.0, text="a secret", created_at=1.0)
    row = {"workspace": "T1", "feedback_id": rating.feedback_id, "run_id": "r1", "kind": "rating",
           "value": 9.0, "weight": 1.0, "text": rating.text, "created_at": 1.0}  # fmt: skip
    with pytest.raises(RecordRefused) as caught:
        await supabase_client.upsert("feedback", [row])
    assert "secret" not in str(caught.value)
    with pytest.raises(RecordRefused, match="JSON"):
        await supabase_client.upsert("feedback", [{**row, "value": float("inf")}])


async def test_messages_of_the_same_key_are_one(supabase_client: SupabaseClient) -> None:
    said = Message("C1", "1.0", "1.0", "person", "hi", created_at=1.0)
    row = {"workspace": "T1", "channel_id": said.channel_id, "ts": said.ts, "thread_ts": "1.0",
           "role": "person", "audience": "public", "text": "hi", "created_at": 1.0,
           "deleted": 0}  # fmt: skip
    await supabase_client.upsert("messages", [row])
    await supabase_client.upsert("messages", [{**row, "text": "ho"}])
    await supabase_client.delete("messages", [("T1", "C1", "2.0")])
    await supabase_client.delete("messages", [("T1", "C1", "1.0")])
    with pytest.raises(StoreError):
        await supabase_client.call("delete_facts", facts="documents", keys=[["T1"]])
