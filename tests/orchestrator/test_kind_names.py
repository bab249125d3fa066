"""Kinds of requests have numbers; people hear of them by an example, or as "one kind"."""

import pytest

from database.records import PUBLIC, Run, one_person
from orchestrator.kind_names import EXAMPLE_CHARS, named, plainly
from tests.slack_interface.learning_samples import finding, proposal

ASKED = "Which team handles it: billing or garden?"
KIND = {
    "title": "Let triage answer for requests of kind-7 with examples",
    "why": "40 requests of kind-7 went badly.",
    "evidence": {"runs": ["r1", "r2"]},
}


class Runs:
    """What is kept of runs."""

    def __init__(self, **audiences: str) -> None:
        self.audiences = audiences
        self.asked = 0

    async def run(self, run_id: str) -> Run | None:
        self.asked += 1
        audience = self.audiences.get(run_id)
        return Run(run_id, ASKED, "triage", audience=audience) if audience else None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("40 requests of kind-7 went badly.", "40 requests of one kind went badly."),
        ("All about kind-12", "All about one kind of request"),
        ("changes the instructions (agent triage--kind-1)",
         "changes the instructions (agent triage)"),
        ("the agent front-desk--kind-22--0a1b", "the agent front-desk"),
        ("mankind-1 is no kind", "mankind-1 is no kind"),
    ],
)  # fmt: skip
def test_without_an_example_it_is_one_kind(text: str, words: str) -> None:
    assert plainly(text) == words


def test_a_long_example_is_cut() -> None:
    said = plainly("requests of kind-1 fail", "so " * 100)
    assert len(said) < EXAMPLE_CHARS + 40
    assert said.endswith("…” fail")


async def test_those_who_may_read_one_of_its_requests_hear_an_example() -> None:
    runs = Runs(r1=one_person("U0GRACE"), r2=PUBLIC)
    [shown] = await named([proposal(**KIND)], runs, {PUBLIC})
    assert shown.title == f"Let triage answer for requests such as “{ASKED}” with examples"
    assert shown.why == f"40 requests such as “{ASKED}” went badly."
    found = finding(title="Much of kind-7", text="", runs=("r1",))
    [shown_finding] = await named([found], runs, {PUBLIC})
    assert shown_finding.title == "Much of one kind of request"
    [on_the_command_line] = await named([found], runs)
    assert on_the_command_line.title == f"Much of requests such as “{ASKED}”"


async def test_what_somebody_may_not_read_and_what_names_no_kind_is_left_alone() -> None:
    runs = Runs(r1=PUBLIC)
    records = [proposal(**KIND, audience=one_person("U0GRACE")), proposal()]
    assert await named(records, runs, {PUBLIC}) == records
    assert runs.asked == 0


async def test_of_several_kinds_none_is_called_by_the_example_of_another() -> None:
    both = finding(title="Requests of kind-1 are not like kind-2", text="", runs=("r1",))
    [shown] = await named([both], Runs(r1=PUBLIC))
    assert shown.title == "Requests of one kind are not like one kind of request"


async def test_a_thousand_of_one_kind_cost_one_look() -> None:
    runs = Runs(r1=PUBLIC)
    await named([proposal(**KIND)] * 1_000, runs, {PUBLIC})
    assert runs.asked == 1
