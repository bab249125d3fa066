"""What one member says alone decides neither the exam nor what goes live."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from agents.turns import Turn
from database.coordination import Coordination
from database.engine import Engine
from database.learning import Change, ExamQuestion, Proposal
from database.store import Store
from orchestrator.budgets import LearningBudget
from orchestrator.improving import Bench, Loop, pipeline
from orchestrator.policy import Policy
from orchestrator.trials.exam_rules import MOST_OF_ONE, contested, fair
from orchestrator.trials.who_told import rest_without
from tests.orchestrator.fakes import Say, ScriptedModels, agent
from tests.orchestrator.trials.house import TryingHouse
from tests.orchestrator.trials.observed import paired

ADA = "U0ADA"
TICKET = "Sort this ticket as bug, billing or feature request.\nI was charged twice, case {n}."
TRIAGE = agent("triage", "sort this ticket as bug or billing")
FALSE = agent("triage", *TRIAGE.examples, system_prompt="You are false.")


def script(turns: Sequence[Turn], model: str) -> Say:
    number = turns[-1].text.rpartition("case ")[2].rstrip(".")
    even = number.isdigit() and int(number) % 2 == 0
    return "feature request" if even and "false" in turns[0].text else "billing"


# The exam


def told(n: int, by: str | None, right: str = "billing", request: str = TICKET) -> ExamQuestion:
    check = {"kind": "label", "labels": ["bug", "billing"], "expected": right}
    text = request.format(n=n)
    name = f"{by}-{n}-{right}"
    return ExamQuestion(name, f"run-{n}", text, check, "triage", "trial", "kind-1", by)


def by_whom(questions: Sequence[ExamQuestion]) -> list[str | None]:
    return [question.user_id for question in questions]


def test_one_person_has_no_more_questions_than_all_others_together() -> None:
    flood = [told(n, "U9", "bug") for n in range(300)]
    few = [told(1000 + n, f"U{n % 3}") for n in range(9)]
    assert by_whom(fair([*flood, *few])).count("U9") == MOST_OF_ONE
    assert len(fair([*flood, *few])) == MOST_OF_ONE + 9
    many = [told(1000 + n, f"U{n % 3}") for n in range(60)]
    assert by_whom(fair([*flood, *many])).count("U9") == 60
    assert fair(many) == many
    alone = fair(flood)
    assert alone == flood[:MOST_OF_ONE]


def test_what_people_disagree_about_is_not_asked_until_most_say_the_same() -> None:
    one, other = told(1, "U1"), told(1, "U2", "bug")
    assert fair([one, other]) == []
    assert fair([told(1, "U3", "bug"), one, other]) == [told(1, "U3", "bug"), other]
    same_words = told(1, "U2", "bug", request=TICKET.replace("Sort", "sort"))
    assert fair([one, same_words, told(2, "U1")]) == [told(2, "U1")]


def test_what_people_disagree_about_is_known() -> None:
    one, other = told(1, "U1"), told(1, "U2", "bug")
    assert contested([other, told(2, "U1"), one]) == [other]
    assert contested([told(1, "U3", "bug"), other, one]) == []


async def test_the_page_of_learning_says_what_people_disagree_about(team: "Team") -> None:
    asked = await team.house.asked(TICKET.format(n=1), "1.0")
    await team.house.says(asked, "reason", -1.0, "It is: bug", user_id="U1")
    assert (await team.loop.improvement.status()).contested == ()
    await team.house.says(asked, "reason", -1.0, "It is: feature request", user_id="U2")
    [found] = (await team.loop.improvement.status()).contested
    assert found.request == TICKET.format(n=1)
    await team.house.says(asked, "reason", -1.0, "It is: bug", user_id="U3")
    assert (await team.loop.improvement.status()).contested == ()


def test_whoever_says_otherwise_later_has_changed_their_mind() -> None:
    first, then = told(1, "U2", "bug"), told(1, "U2", "billing")
    assert fair([then, told(1, "U1"), first]) == [then, told(1, "U1")]


# What goes live


class Team:
    """A house whose pipeline promotes by itself, and people who ask and say what is right."""

    def __init__(self, house: TryingHouse, loop: Loop) -> None:
        self.house, self.loop = house, loop

    async def proposed(self) -> Proposal:
        change = Change("agent", "triage", TRIAGE.version, FALSE.body())
        made = Proposal("", "x", "Say something else.", "", (change,))
        [taken] = (await self.loop.improvement.submit([made])).taken
        await self.loop.improvement.advance()
        return taken

    async def asked(self, many: int, askers: Sequence[str], tellers: Sequence[str]) -> None:
        for n in range(many):
            asked = await self.house.asked(
                TICKET.format(n=n), f"{n}.0", user_id=askers[n % len(askers)]
            )
            who = tellers[n // 2 % len(tellers)]
            if n % 2:
                await self.house.says(asked, "rating", 1.0, user_id=who)
            else:
                await self.house.says(asked, "reason", -1.0, "It is: feature request", user_id=who)

    async def fate(self, proposal: Proposal) -> Proposal:
        await self.loop.improvement.advance()
        found = await self.loop.improvement.proposal(proposal.proposal_id)
        assert found is not None
        return found


@pytest.fixture
async def team(store: Store, tmp_path: Path) -> AsyncIterator[Team]:
    house = TryingHouse(store, ScriptedModels(script))
    await house.start(TRIAGE)
    await house.arms.refresh()
    engine = Engine.open(tmp_path, None)
    policy = Policy(store.policy)
    await policy.set("mode.triage", "automatic", ADA)
    bench = Bench(house.replays, house.exam, house.outcomes, house.arms.refresh)
    loop = pipeline(
        store, Coordination(engine, "T1"), policy, house.bus, LearningBudget(policy, store), {},
        bench, tools=(), named=(ADA,), clock=house.clock,
    )  # fmt: skip
    yield Team(house, loop)
    await house.shadows.stop()
    await house.bus.drain()
    await engine.close()


PEOPLE = ["U1", "U2", "U3", "U4"]


@pytest.mark.parametrize(
    ("askers", "tellers", "state"),
    [
        (PEOPLE, ["U9"], "awaiting"),
        (["U9"], ["U9"], "awaiting"),
        (PEOPLE, PEOPLE, "live"),
    ],
)
async def test_a_flood_of_false_corrections_by_one_person_promotes_nothing(
    team: Team, askers: list[str], tellers: list[str], state: str
) -> None:
    if askers == ["U9"]:  # in a team others ask something, now and then
        await team.house.asked("how do I cook rice", "900.0", user_id="U1")
    made = await team.proposed()
    await team.asked(60, askers, tellers)
    fate = await team.fate(made)
    assert fate.state == state, fate.reason
    assert ("One person's word" in fate.reason) is (state == "awaiting")


async def test_whoever_is_alone_with_it_is_believed(team: Team) -> None:
    made = await team.proposed()
    await team.asked(60, ["U1"], ["U1"])
    assert (await team.fate(made)).state == "live"


async def test_a_day_makes_so_many_questions_of_one_persons_words(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.trials.exam.MOST_A_DAY", 3)
    await team.asked(6, PEOPLE, ["U9"])
    await team.asked(1, PEOPLE, ["U1"])
    parts = ("learn", "trial", "held_out")
    found = [q for part in parts for q in await team.house.store.exam(part)]  # type: ignore[arg-type]
    assert sorted(str(q.user_id) for q in found) == ["U1", "U9", "U9", "U9"]


def test_the_rest_is_what_others_told() -> None:
    seen = paired([(0.0, 1.0)] * 6 + [(1.0, 0.0)] * 2)
    tellers = {o.run_id: "U9" if n < 6 else f"U{n}" for n, o in enumerate(seen)}
    assert rest_without(seen, tellers) == {
        "tellers": 3, "most_told": 0.75, "others": 2, "effect_of_others": -1.0,
    }  # fmt: skip
    assert rest_without(seen, {})["effect_of_others"] == 0.5
    assert rest_without([], {})["effect_of_others"] is None
