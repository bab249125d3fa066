"""The record at Supabase (lite, for the tests): everything gets there; away, nobody notices."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from bootstrap import warn_of_the_record
from database import local_copy, supabase_backend
from database.errors import RecordAway
from database.records import Run, RunQuery
from database.store import Store
from database.supabase_client import SupabaseClient
from slack_interface.http_server import Listen
from tests.model_server.server import answer
from tests.people import ADA, GRACE, eventually
from tests.stories.story import Story, asked, direct
from tests.stories.test_privacy import bytes_kept
from tests.supabase_server.server import SupabaseServer
from virtuous6 import app

ANSWERS = (answer("Tea.", when=asked("drink")), answer("Fine.", when=asked("are you")))


@pytest.fixture
async def kept_there(quiet_story: Story, supabase: SupabaseServer) -> Story:
    """People in a workspace whose assistant keeps its record at Supabase."""
    quiet_story.settings = quiet_story.settings.model_copy(
        update={
            "supabase_url": supabase.url,
            "supabase_service_role_key": SecretStr(supabase.secret_key),
        }
    )
    await quiet_story.start()
    await quiet_story.told(*ANSWERS)
    return quiet_story


def rows(server: SupabaseServer, sql: str) -> list[tuple[Any, ...]]:
    with server.connect() as connection:
        return connection.execute(sql.encode()).fetchall()


async def arrives(server: SupabaseServer, sql: str, wanted: object) -> None:
    async def arrived() -> bool:
        return rows(server, sql) == wanted

    await eventually(arrived, f"{sql}: {wanted}")


async def test_everything_of_a_day_is_at_supabase(
    kept_there: Story,
    supabase: SupabaseServer,
) -> None:
    liked = await kept_there.ask("What should I drink?")
    await kept_there.rate(liked, "positive")
    await kept_there.idle()
    asked_there = "select request, reply from runs where kind = 'reply'"
    await arrives(supabase, asked_there, [("What should I drink?", "Tea.")])
    await arrives(supabase, "select value, user_id from feedback", [(1.0, ADA)])
    assert rows(supabase, "select count(*) from documents where active") > [(3,)]
    assert rows(supabase, "select user_id from people where user_id = 'U0ADA'") == [(ADA,)]
    figures = "select runs, people, success_percent::text, feedback_up from report_days"
    assert rows(supabase, figures) == [(1, 1, "100.0", 1)]


async def test_while_supabase_is_away_people_are_answered_and_nothing_is_lost(
    kept_there: Story,
    supabase: SupabaseServer,
) -> None:
    await kept_there.ask("What should I drink?")
    supabase.stop_rest()
    reply = await kept_there.ask("How are you?")
    assert "Fine." in reply["text"]
    store = kept_there.house.store
    with pytest.raises(RecordAway, match="waits until it is back"):
        await kept_there.house.policy.set("speak", "mentions", ADA)
    told = await kept_there.ask("policy set allow_guests yes")
    assert "waits until it is back" in told["text"]
    assert "cannot be reached to keep this" in told["text"]
    await kept_there.command("/metrics", "me 7d", ADA, "general")
    [told] = await kept_there.whispers()
    assert "this machine's own copy" in told["text"]
    await kept_there.stop()

    await kept_there.start()
    assert "Fine." in (await kept_there.ask("And how are you now?"))["text"], "a restart without it"
    assert store is not kept_there.house.store
    supabase.start_rest()
    counted = "select count(*) from runs where kind = 'reply'"
    await arrives(supabase, counted, [(3,)])


async def test_approvers_hear_once_a_day_what_somebody_has_to_do(
    kept_there: Story, supabase: SupabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await warn_of_the_record(kept_there.house)
    await kept_there.house.policy.set("approvers", GRACE, ADA)
    supabase.stop_rest()
    monkeypatch.setattr(supabase_backend, "LONG_AWAY_SECONDS", 0.0)

    async def noticed() -> bool:
        return (await kept_there.house.store.health()).away_since is not None

    await eventually(noticed, "Supabase's absence is noticed")
    for _ in range(2):
        await warn_of_the_record(kept_there.house)
    await kept_there.idle()
    told = (await kept_there.get(f"messages/{direct(GRACE)}"))["messages"]
    assert [("Supabase has been away" in m["text"]) for m in told] == [True]


def test_the_command_line_brings_the_schema_and_checks_it(
    home: Path,
    supabase: SupabaseServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(*words: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == status, result.output
        return result.output

    monkeypatch.setenv("SUPABASE_URL", supabase.url)
    assert "SUPABASE_SERVICE_ROLE_KEY is not" in run("db", "migrate", status=2)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", supabase.secret_key)
    assert "Supabase: up to date" in run("db", "migrate")
    monkeypatch.setenv("SUPABASE_DB_URL", supabase.database_url)
    assert "Supabase: up to date" in run("db", "migrate")
    assert "Supabase: ok" in run("db", "check")
    assert "ok       Supabase" in CliRunner().invoke(app, ["doctor"]).output
    with supabase.connect() as connection:
        connection.execute("create policy planted on public.runs for select using (true)")
        try:
            assert "policy_for_everybody: runs: planted" in run("db", "check", status=1)
        finally:
            connection.execute("drop policy planted on public.runs")
    supabase.stop_rest()
    assert "cannot be reached" in run("db", "check", status=1)
    assert "failed   Supabase" in CliRunner().invoke(app, ["doctor"]).output


async def test_the_command_line_shows_what_is_refused_and_offers_it_again(
    home: Path, supabase: SupabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert result.exit_code == 0, result.output
        return result.output

    assert "not configured" in await run("outbox", "list")
    client = SupabaseClient(supabase.url, supabase.secret_key)
    store = Store.open(home, "T1", client)
    with supabase.connect() as connection:
        connection.execute("alter table runs add constraint planted check (agent <> 'bad')")
        try:
            store.append(Run("r1", "hello", "bad"), Run("r2", "hello", "good"))
            await store.runs(RunQuery())
            await store.close()
        finally:
            connection.execute("alter table runs drop constraint planted")
    await client.close()
    monkeypatch.setenv("SUPABASE_URL", supabase.url)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", supabase.secret_key)
    shown = json.loads(await run("outbox", "list", "--json"))
    assert (shown["waiting"], shown["refused"]) == (0, 1)
    assert [(r["table"], r["key"]) for r in shown["refused_rows"]] == [("runs", ["r1"])]
    assert "violates" in await run("outbox", "list")
    assert "1 changes are offered again" in await run("outbox", "retry")
    assert rows(supabase, "select run_id from runs order by run_id") == [("r1",), ("r2",)]
    assert "0 changes wait; 0 were refused." in await run("outbox", "list")
    doctor = await asyncio.to_thread(CliRunner().invoke, app, ["doctor"])
    assert "T1's copy is not made yet" in " ".join(doctor.output.split())


async def test_who_is_forgotten_through_another_home_is_forgotten_here_to_the_last_byte(
    kept_there: Story, supabase: SupabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is not in the record: that she was told of a secret she typed."""
    monkeypatch.setattr(local_copy, "LOOK_SECONDS", 0.1)
    await kept_there.told(answer("Platypus, you say.", when=asked("animal")))
    await kept_there.ask("My favourite animal is the platypus")
    await kept_there.ask("The animal's token is xoxb-1234567890-1234567890123-AbCdEfGhIjKlMnOpQrSt")
    await kept_there.idle()
    await kept_there.stop()
    await kept_there.start()
    assert b"secret:" + ADA.encode() in bytes_kept(kept_there.settings.home)

    client = SupabaseClient(supabase.url, supabase.secret_key)
    other = Store.open(tmp_path / "other", kept_there.house.store.workspace, client)
    await other.forget(ADA)
    await other.close()
    await client.close()

    async def gone() -> bool:
        left = bytes_kept(kept_there.settings.home)
        return b"platypus" not in left and ADA.encode() not in left

    await eventually(gone, "nothing of her is left")


async def test_readiness_says_how_old_the_copy_is(
    kept_there: Story, supabase: SupabaseServer
) -> None:
    await kept_there.stop()
    await kept_there.start(listen=Listen(port=0))
    assert kept_there.bot
    address = f"http://127.0.0.1:{kept_there.bot.port}/health/ready"

    async def told() -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(address)
            assert answer.status_code == 200
            found: dict[str, Any] = answer.json()
            return found

    found = await told()
    assert found["ready"] is True
    assert 0 <= found["copy_age_s"] < 60

    async def everything_is_sent() -> bool:
        return bool((await told())["waiting_for_supabase"] == 0)

    async def something_waits() -> bool:
        return bool((await told())["waiting_for_supabase"] > 0)

    await eventually(everything_is_sent)
    supabase.stop_rest()
    await kept_there.ask("something to drink?")
    await eventually(something_waits)
    assert (await told())["ready"] is True, "replies go on"


async def test_the_command_line_ends_what_is_left_of_supabase(
    home: Path, supabase: SupabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*words: str, status: int = 0) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert result.exit_code == status, result.output
        return result.output

    client = SupabaseClient(supabase.url, supabase.secret_key)
    store = Store.open(home, "T1", client)
    await store.close()
    await client.close()
    alone = Store.open(home, "T1")
    alone.append(Run("r1", "hello", "a"))
    await alone.close()
    assert "1 changes wait for Supabase, which is not configured here any more" in await run(
        "outbox", "list"
    )
    doctor = await asyncio.to_thread(CliRunner().invoke, app, ["doctor"])
    assert "T1: 1 changes wait for Supabase" in " ".join(doctor.output.split())
    monkeypatch.setenv("SUPABASE_URL", supabase.url)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", supabase.secret_key)
    assert "unset SUPABASE_URL" in await run("outbox", "off", status=1)
    monkeypatch.delenv("SUPABASE_URL")
    monkeypatch.delenv("SUPABASE_SERVICE_ROLE_KEY")
    alone = Store.open(home, "T1")
    alone.append(Run("r2", "hello", "a"))
    await alone.close()
    assert "(1 changes did)" in await run("outbox", "off")
    assert json.loads(await run("outbox", "off", "--json")) == {"dropped": 0, "only_there": ""}
    assert "changes" not in await run("outbox", "list")
    exported = await run("runs", "export", str(home / "runs.jsonl"))
    assert exported.startswith("2 runs written")
