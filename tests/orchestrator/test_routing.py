import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from database.records import AgentRecord, Step
from orchestrator.routing import (
    GENERALIST,
    Candidate,
    Chosen,
    Route,
    Router,
    Specialty,
    instruction,
)
from tests.orchestrator.fakes import WordEmbedder

LAWYER = Specialty("lawyer", "1", "contracts and law", ("review this contract", "is this legal"))
COOK = Specialty("cook", "1", "recipes and food", ("how do I cook rice", "a recipe for soup"))


async def route(router: Router, text: str, **more: Any) -> Route:
    return await router.route(text, router.embed(text), **more)


def known(*specialties: Specialty) -> Router:
    router = Router(WordEmbedder())
    router.know(specialties or (LAWYER, COOK))
    return router


async def test_meaning_decides() -> None:
    router = known()
    chosen = await route(router, "please review this contract")
    assert (chosen.agent, chosen.reason) == ("lawyer", "meaning")
    assert "review this contract" in chosen.sentence()
    assert chosen.as_json()["best"]["agent"] == "lawyer"


async def test_what_no_specialist_is_for_goes_to_the_generalist() -> None:
    chosen = await route(known(), "zebra quantum weather")
    assert (chosen.agent, chosen.reason) == (GENERALIST, "no specialist")


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Rewrite this politely: send the report", "Rewrite this politely"),
        ('Make it shorter: "A long text that goes on for some time"', "Make it shorter"),
        ("Hi Bo,\nsum this up\nIt was a dark night", "Hi Bo, sum this up"),
        ("List the action items\nIt was a dark night", "List the action items"),
        ("Note: buy milk", "Note: buy milk"),
        ('"A long quotation and nothing else"', '"A long quotation and nothing else"'),
        ("", ""),
    ],
)
def test_the_instruction_is_told_from_its_material(text: str, asked: str) -> None:
    assert instruction(text) == asked


@pytest.mark.parametrize("odd", ["“", "“a ", '"', "`", "``` ", ": ", "\n"])
def test_the_instruction_of_a_long_and_odd_text_takes_no_time(odd: str) -> None:
    began = time.process_time()
    instruction(odd * 40_000)
    assert time.process_time() - began < 1.0


async def test_material_does_not_decide() -> None:
    chosen = await route(known(), "review this contract\nhow do I cook rice a recipe for soup food")
    assert chosen.agent == "lawyer"


async def test_the_generalist_wins_what_is_like_its_own_examples() -> None:
    general = Specialty(GENERALIST, "1", "everyday questions", ("tell me a joke about food",))
    assert (
        await route(known(LAWYER, COOK, general), "tell me a joke about food")
    ).agent == GENERALIST


async def test_without_any_specialist_the_generalist_answers() -> None:
    router = Router(WordEmbedder())
    router.know([])
    assert (await route(router, "anything")).agent == GENERALIST


async def test_one_asked_for_by_name_answers() -> None:
    chosen = await route(known(), "review this contract", asked="cook")
    assert (chosen.agent, chosen.reason) == ("cook", "asked")


async def test_the_agent_of_the_thread_keeps_short_and_vague_follow_ups() -> None:
    router = known()
    for text in ("and shorter?", "zebra quantum weather in the very far north"):
        chosen = await route(router, text, current="lawyer")
        assert (chosen.agent, chosen.reason) == ("lawyer", "thread")


async def test_a_thread_changes_hands_when_the_subject_clearly_changes() -> None:
    chosen = await route(known(), "now tell me how do I cook rice", current="lawyer")
    assert chosen.agent == "cook"


async def test_a_follow_up_stays_with_the_generalist_unless_it_fits_a_specialist() -> None:
    assert (
        await route(known(), "zebra weather today please", current=GENERALIST)
    ).reason == "thread"
    assert (await route(known(), "a recipe for soup with rice", current=GENERALIST)).agent == "cook"


TWINS = (
    Specialty("north", "1", "travel north", ("book a trip to the north by train",)),
    Specialty("south", "1", "travel south", ("book a trip to the south by train",)),
)


async def test_a_close_call_asks_once_and_remembers() -> None:
    asked: list[str] = []

    async def choose(text: str, candidates: Sequence[Candidate]) -> Chosen:
        asked.append(text)
        assert {c.name for c in candidates} == {"north", "south"}
        return Chosen("south", Step(0, "model", "m-fast"))

    router = Router(WordEmbedder(), choose)
    router.know(TWINS)
    for text, called in (("book a trip by train", True), ("Book a trip  by train", False)):
        chosen = await route(router, text)
        assert (chosen.agent, chosen.reason) == ("south", "fast model")
        assert (chosen.step is not None) is called
    assert asked == ["book a trip by train"]
    clear = await route(router, "book a trip to the north by train travel north")
    assert (clear.agent, len(asked)) == ("north", 1)


async def test_a_tie_that_nobody_decides_goes_to_the_generalist() -> None:
    chosen = await route(known(*TWINS), "book a trip by train")
    assert (chosen.agent, chosen.reason) == (GENERALIST, "tie")


async def test_what_has_worked_turns_a_close_call_only() -> None:
    router = known(*TWINS)
    router.learn(
        [
            AgentRecord("south", "kind-1", 30, 30, 29, 1.0, None),
            AgentRecord("north", "kind-1", 30, 30, 5, 1.0, None),
        ]
    )
    assert (await route(router, "book a trip by train", task_type="kind-1")).agent == "south"
    assert (await route(router, "book a trip by train", task_type="kind-2")).agent == GENERALIST
    clear = await route(router, "book a trip to the north by train", task_type="kind-1")
    assert clear.agent == "north"


async def test_one_lucky_run_changes_nothing() -> None:
    router = known(*TWINS)
    router.learn([AgentRecord("south", "kind-1", 1, 1, 1, 1.0, None)])
    assert (await route(router, "book a trip by train", task_type="kind-1")).agent == GENERALIST


async def test_only_changed_agents_are_embedded_again() -> None:
    embedder = WordEmbedder()
    router = Router(embedder)
    router.know((LAWYER, COOK))
    embedder.embedded.clear()
    changed = Specialty("cook", "2", "baking", ("bake bread",))
    router.know((LAWYER, changed))
    assert embedder.embedded == ["baking", "bake bread"]
    assert (await route(router, "bake bread")).agent == "cook"


async def test_a_thousand_agents_are_routed_in_about_a_millisecond() -> None:
    rng = np.random.default_rng(1)

    class Random:
        def embed(self, texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
            rows = rng.standard_normal((len(texts), 256)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            return rows

    router = Router(Random())
    examples = tuple(f"example {n}" for n in range(8))
    router.know(Specialty(f"a{n}", "1", f"specialty {n}", examples) for n in range(1000))
    vector = router.embed("x")
    took = []
    for _ in range(20):
        began = time.thread_time()
        await router.route("x", vector)
        took.append(time.thread_time() - began)
    assert min(took) < 0.003, f"a route took {min(took) * 1000:.2f} ms of a processor"
