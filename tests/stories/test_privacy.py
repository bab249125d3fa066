"""What is kept of people: no secrets, nothing of who asked to be forgotten."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from database.records import RunQuery, random_run_id
from tests.model_server.server import answer
from tests.people import ADA, GRACE, eventually
from tests.stories.story import Story, asked
from virtuous6 import app

SECRETS = {
    "slack": "xoxb-" + "1234567890-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
    "openai": "sk-proj-" + "Zx81kQpLm72VbNcRtYw903HsDfGjKa5E",
    "github": "ghp_" + "b7Kq29XvTz41LmNsRw83YcHdPf60GjQa5EuO",
    "aws": "AKIA" + "Q3EGRIXR7FJ2WPLM",
    "private key": "MIIEpAIBAAKCAQEA" + "v3Zk81QpLm72VbNcRtYw903HsDfGjKa5E",
    "email": "jane.roe@example.org",
    "phone": "+1 415 555 0132",
    "card": "4111 1111 1111 1111",
}


def bytes_kept(home: Path) -> bytes:
    """Every byte of every file in a home, write-ahead logs included."""
    return b"".join(path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file())


async def test_secrets_and_addresses_said_in_messages_are_in_no_byte_of_the_database(
    story: Story,
) -> None:
    await story.told(answer(f"I note {SECRETS['email']}.", when=asked("")))
    key = SECRETS["private key"]
    begin, end = (f"-----{word} RSA PRIVATE KEY-----" for word in ("BEGIN", "END"))
    all_of_them = ", ".join(SECRETS.values()).replace(key, f"{begin}\n{key}\n{end}")

    reply = await story.ask(f"Please keep these for me: {all_of_them}")
    await story.say(f"no, I meant {all_of_them}", thread=reply["thread_ts"])
    await story.replies(reply["thread_ts"], count=2)
    await story.command("/better", f"with {all_of_them}")
    await story.replies(reply["thread_ts"], count=4)
    await story.rate(reply, "negative")
    await story.submit(await story.modal(), reasons=["wrong"], words=f"It is {all_of_them}")
    await story.command("/save-workflow", "keep")
    await story.say(f"Among us: {all_of_them}", GRACE, "general")
    await story.idle()
    assert await story.house.bus.drain()

    assert SECRETS["email"] in reply["text"], "people see what was said"
    said = (await story.prompts())[0][-1]["content"]
    assert SECRETS["email"] in said, "the model is told what was asked"
    runs = await story.runs()
    assert len(runs) == 3
    assert "[email]" in runs[0].request
    kept = bytes_kept(story.settings.home)
    assert b"Please keep these for me" in kept
    assert [name for name, secret in SECRETS.items() if secret.encode() in kept] == []
    await story.stop()
    kept = bytes_kept(story.settings.home)
    assert [name for name, secret in SECRETS.items() if secret.encode() in kept] == []


async def test_whoever_types_a_secret_is_told_kindly_and_once(story: Story) -> None:
    await story.told(answer("Noted.", when=asked("")))
    await story.mention("Tea, please", GRACE)
    assert (await story.get(f"ephemeral/{GRACE}"))["messages"] == []
    for _ in range(2):
        await story.mention(f"Our token is {SECRETS['openai']}", GRACE)
    await story.idle()
    [told] = await story.whispers(GRACE)
    assert "change it" in told["text"]
    assert SECRETS["openai"] not in told["text"]
    await story.ask(f"My token is {SECRETS['slack']}")
    assert "change it" in (await story.whispers(ADA))[0]["text"]


async def test_a_person_is_forgotten_and_the_others_are_not(story: Story) -> None:
    await story.told(answer("Platypus, you say.", when=asked("")))
    reply = await story.ask("My favourite animal is the platypus")
    await story.command("/better", "with more platypus")
    await story.replies(reply["thread_ts"], count=3)
    await story.ask("My favourite animal is the quokka", GRACE)
    await story.ask(f"My token is {SECRETS['slack']}")
    await story.home()
    await story.stop()

    command = ["runs", "forget", "--user", ADA, "--json"]
    done = await asyncio.to_thread(CliRunner().invoke, app, command)

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"]["runs"] == 3
    kept = bytes_kept(story.settings.home)
    assert b"platypus" not in kept
    assert ADA.encode() not in kept
    assert b"quokka" in kept
    await story.start()
    assert [run.user_id for run in await story.runs()].count(GRACE) == 1


async def test_old_texts_are_gone_at_the_next_start_and_their_numbers_stay(story: Story) -> None:
    await story.told(answer("Noted.", when=asked("")))
    await story.ask("Remember the xylophone")
    [recent] = await story.runs()
    long_ago = time.time() - 100 * 24 * 3600
    old = replace(recent, run_id=random_run_id(), request="Remember the zither", steps=())
    story.house.store.append(replace(old, started_at=long_ago, message_ts=f"{long_ago:.6f}"))
    await story.stop()

    await story.start()

    async def purged() -> bool:
        kept = await story.house.store.run(old.run_id)
        return kept is not None and kept.request == "" and kept.reply is None

    await eventually(purged, "the old text is gone")
    figures = await story.house.store.metrics(RunQuery())
    assert figures.total.runs == 2
    await story.stop()
    kept = bytes_kept(story.settings.home)
    assert b"zither" not in kept
    assert b"xylophone" in kept


async def test_what_waits_for_an_answer_is_not_readable_on_disk(story: Story) -> None:
    slow = {"streamingProfile": {"ttft": 600}}
    await story.told(answer("Yes.", when=asked(""), **slow))
    ts = await story.say("Will the xylophone arrive?")

    await eventually(story.prompts, "the model is asked")
    waiting = bytes_kept(story.settings.home)
    rows = await story.house.coordination.pending()
    await story.replies(ts)

    assert b"xylophone" not in waiting
    assert [b"xylophone" in row.payload for row in rows] == [True]
    assert (story.settings.home / "secret.key").stat().st_mode & 0o077 == 0
    assert await story.house.coordination.pending() == []
