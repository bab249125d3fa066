"""Routing among the shipped agents, on requests worded unlike the examples that it knows.

Floors, not aims: what is reached stands in `orchestrator/routing.py`.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agents.definition import shipped_definitions
from agents.similarity import Similarity
from orchestrator.routing import GENERALIST, Route, Router, Specialty

REQUESTS = Path(__file__).parent / "routed_requests.jsonl"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and who should answer; `current` answers in the thread already."""

    agent: str
    text: str
    current: str | None = None


@cache
def router() -> Router:
    made = Router(Similarity.load())
    made.know(
        Specialty(d.name, d.version, d.specialty, d.examples, description=d.description)
        for d in shipped_definitions()
    )
    return made


def requests() -> list[Asked]:
    return [Asked(**json.loads(line)) for line in REQUESTS.read_text("utf-8").splitlines()]


async def route(asked: Asked) -> Route:
    return await router().route(asked.text, router().embed(asked.text), current=asked.current)


async def test_specialists_get_their_requests() -> None:
    asked = [r for r in requests() if r.agent != GENERALIST and not r.current]
    routes = [await route(r) for r in asked]
    right = sum(r.agent == to.agent for r, to in zip(asked, routes, strict=True))
    kept = sum(to.agent == GENERALIST for to in routes)
    assert len(asked) == 60
    assert right >= 0.62 * len(asked)
    assert len(asked) - right - kept <= 0.05 * len(asked), "another specialist is worst of all"


async def test_a_request_in_a_form_that_people_use_and_once_missed() -> None:
    asked = Asked(
        "rewriter", "Make this friendlier and shorter: You failed to send it. Send it now."
    )
    assert (await route(asked)).agent == "rewriter"


async def test_everyday_requests_stay_with_the_generalist() -> None:
    asked = [r for r in requests() if r.agent == GENERALIST and not r.current]
    stayed = [r for r in asked if (await route(r)).agent == r.agent]
    assert len(stayed) >= 0.95 * len(asked)


async def test_follow_ups_stay_with_the_agent_of_their_thread() -> None:
    asked = [r for r in requests() if r.current]
    stayed = [r for r in asked if (await route(r)).agent == r.agent]
    assert len(stayed) >= 0.8 * len(asked)


def test_no_wording_is_shared_with_the_examples() -> None:
    """Else the figures would be of what routing was told, not of what it makes of it."""
    told = {run for d in shipped_definitions() for e in d.examples for run in runs_of_words(e, 4)}
    assert not [r.text for r in requests() if told & runs_of_words(r.text, 4)]


def runs_of_words(text: str, length: int) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9']+", text.lower())
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}
