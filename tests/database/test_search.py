"""Search finds words in what the reader may see, and nothing else."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.records import (
    PUBLIC,
    Message,
    Reader,
    Run,
    RunQuery,
    one_person,
    private_channel,
)
from database.store import Store

ANYBODY = Reader("U9")


def said(number: int, text: str, audience: str = PUBLIC) -> Message:
    ts = f"{1_700_000_000 + number}.000100"
    return Message("C1", ts, ts, "person", text, "U1", audience=audience)


def texts(found: list[Message]) -> list[str]:
    return [message.text for message in found]


async def test_messages_with_all_words_come_before_any(store: Store) -> None:
    store.append(said(1, "the budget meeting moved"), said(2, "a budget"), said(3, "lunch"))
    assert texts(await store.search_messages("budget meeting", ANYBODY)) == [
        "the budget meeting moved"
    ]
    found = await store.search_messages("budget dinosaur", ANYBODY)
    assert sorted(texts(found)) == ["a budget", "the budget meeting moved"]
    assert await store.search_messages("dinosaur", ANYBODY) == []
    assert len(await store.search_messages("budget", ANYBODY, limit=1)) == 1


async def test_forms_of_a_word_and_accents_are_found(store: Store) -> None:
    store.append(said(1, "Launches are planned in Málaga"))
    assert len(await store.search_messages("launch", ANYBODY)) == 1
    assert len(await store.search_messages("malaga", ANYBODY)) == 1


@pytest.mark.parametrize(
    "words",
    ['"', "a AND", "NOT", "text:budget", "budget*", "NEAR(", "' OR 1=1 --", "-", "", "(", "_",
     "snake_case", "budget OR", "^budget", "\x00", "{text}: x", "\ud800"],
)  # fmt: skip
async def test_what_people_type_is_never_taken_for_syntax(store: Store, words: str) -> None:
    store.append(said(1, "the budget in snake_case"))
    found = await store.search_messages(words, ANYBODY)
    assert texts(found) in ([], ["the budget in snake_case"])


@pytest.mark.parametrize("searched_before", [True, False])
async def test_edits_and_deletions_are_followed(store: Store, searched_before: bool) -> None:
    store.append(said(1, "the zebra plan"), said(2, "the walrus plan"))
    if searched_before:
        assert len(await store.search_messages("plan", ANYBODY)) == 2
    await store.edit_message("C1", "1700000001.000100", "the giraffe plan")
    await store.delete_message("C1", "1700000002.000100")
    assert await store.search_messages("zebra", ANYBODY) == []
    assert await store.search_messages("walrus", ANYBODY) == []
    assert texts(await store.search_messages("giraffe", ANYBODY)) == ["the giraffe plan"]


async def test_what_is_said_after_a_search_or_a_forgetting_is_found(store: Store) -> None:
    for number in range(3):
        store.append(*(said(1000 * number + n, f"plan {number}") for n in range(600)))
        found = await store.search_messages(f"plan {number}", ANYBODY, limit=1000)
        assert len(found) == 600
    await store.forget("U0ZED")
    store.append(said(9000, "plan afterwards"))
    assert len(await store.search_messages("afterwards", ANYBODY)) == 1
    assert len(await store.search_messages("plan", ANYBODY, limit=5000)) == 1801


people = st.sampled_from(["U1", "U2", "U3"])
channels = st.sampled_from(["C1", "C2", "C3"])
audiences = st.one_of(
    st.just(PUBLIC), people.map(one_person), channels.map(private_channel), st.just("")
)


def may_see(reader: Reader, audience: str) -> bool:
    """The rule, in other words than the code's."""
    if audience.startswith("channel:"):
        return audience.removeprefix("channel:") in reader.channels
    return audience in ("public", f"person:{reader.user_id}")


@settings(max_examples=25)
@given(
    kept=st.lists(audiences, max_size=12),
    reader=st.builds(Reader, people, st.frozensets(channels)),
)
def test_a_reader_finds_all_they_may_see_and_nothing_else(kept: list[str], reader: Reader) -> None:
    asyncio.run(_check(kept, reader))


async def _check(kept: list[str], reader: Reader) -> None:
    with tempfile.TemporaryDirectory() as home:
        store = Store.open(Path(home), "T1")
        for number, audience in enumerate(kept):
            run = Run(f"{number}", "q", "a", started_at=1e9, audience=audience)
            store.append(said(number, f"budget {number}", audience), run)
        allowed = {n for n, audience in enumerate(kept) if may_see(reader, audience)}
        found = await store.search_messages("budget", reader, limit=50)
        assert {int(message.text.split()[1]) for message in found} == allowed
        query = RunQuery(audiences=reader.audiences())
        assert {int(run.run_id) for run in await store.runs(query)} == allowed
        assert (await store.metrics(query)).total.runs == len(allowed)
        await store.close()
