"""The prompt optimizer: what it shows of right answers, chooses by, and when it proposes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.definition import MAX_PROMPT_CHARACTERS, AgentDefinition, parse_definition
from agents.errors import ModelUnavailable
from agents.improvement.asking import Asker
from agents.improvement.examples import by_answer, chosen, known_answers, without_choices
from agents.improvement.learner import Learned, Window
from agents.improvement.prompt_optimizer import PromptOptimizer
from agents.improvement.prompt_search import (
    FOLDS,
    ROUND,
    PromptSearch,
    asked_of,
    fold_of,
    in_turn,
)
from agents.improvement.variant_counts import record_key, records_of
from agents.universal_agent import AgentStopped
from database.errors import BudgetExceeded
from database.learning import ExamQuestion, Proposal
from database.records import (
    PUBLIC,
    Document,
    Feedback,
    Outcome,
    Run,
    content_hash,
    private_channel,
)
from tests.agents.doubles import Reply, ScriptedModel, says

LABELS = ("card lost", "card late", "fee", "refund", "limit")
SAID = {
    "card lost": ("my wallet was stolen on the train", "cannot find my plastic anywhere"),
    "card late": ("the envelope never came", "waiting for the post since monday"),
    "fee": ("why was I charged extra", "what is this cost on my statement"),
    "refund": ("the shop owes me money back", "I sent the shoes back"),
    "limit": ("how much may I spend", "what is the most I can take out"),
}
SORTER = AgentDefinition(
    name="sorter",
    specialty="sorting",
    description="Sorts messages.",
    system_prompt="Answer with one of the labels.",
)


def request(text: str) -> str:
    return f'Which is it: {", ".join(LABELS)}?\n"{text}"'


def question(number: int, label: str, audience: str = PUBLIC, kind: str = "kind-1") -> ExamQuestion:
    text = f"{SAID[label][number % 2]}, case {'abcdefghijklmnopqrstuvwxyz'[number % 26]}{number}"
    return ExamQuestion(
        f"question-{number}",
        f"run-{number}",
        request(text),
        {"kind": "label", "labels": list(LABELS), "expected": label},
        "sorter",
        "learn",
        kind,
        audience=audience,
    )


def exam(count: int = 60, audience: str = PUBLIC) -> list[ExamQuestion]:
    return [question(n, LABELS[n % len(LABELS)], audience) for n in range(count)]


def document(definition: AgentDefinition, name: str = "sorter", audience: str = PUBLIC) -> Document:
    return Document("agent", name, definition.body(), definition.version, audience=audience)


def answered(questions: Sequence[ExamQuestion], reply: str = "fee") -> list[Run]:
    return [
        Run(
            one.run_id,
            one.request,
            "sorter",
            audience=one.audience,
            task_type=one.task_type,
            agent_version=SORTER.version,
            reply=reply,
        )
        for one in questions
    ]


@dataclass
class Reader:
    """A "model" that answers like the most similar example it was shown, else the first label."""

    asked: list[tuple[AgentDefinition, str]] = field(default_factory=list)
    fails_after: int | None = None
    error: Exception = field(default_factory=lambda: BudgetExceeded("Used up."))

    async def ask(self, definition: AgentDefinition, request: str) -> str:
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            raise self.error
        self.asked.append((definition, request))
        shown = [(set(d.request.split()), d.answer) for d in definition.demonstrations]
        for line in definition.system_prompt.splitlines():
            answer, colon, texts = line.partition(": ")
            if colon and answer in LABELS:
                shown += [(set(text.split()), answer) for text in texts.split(" | ")]
        if not shown:
            return LABELS[0]
        words = set(request.partition('"')[2].strip('"').split())
        return max(shown, key=lambda one: len(one[0] & words))[1]


LEARNED = "Right answers given before"
"""The heading of answers that are gathered."""

SILENT = ScriptedModel(says("nothing new"))


async def learned(
    questions: Sequence[ExamQuestion],
    asks: Reader | None = None,
    *,
    model: ScriptedModel = SILENT,
    reflecting: bool = False,
    documents: Sequence[Document] = (),
    runs: Sequence[Run] | None = None,
    state: dict[str, object] | None = None,
    calls: int = 300,
) -> Learned:
    optimizer = PromptOptimizer(model, asks or Reader(), reflecting=reflecting, calls=calls)
    window = Window(
        answered(questions) if runs is None else runs,
        50.0,
        documents=documents or (document(SORTER),),
        exam=questions,
    )
    return await optimizer.learn(window, state or {})


def proposed(found: Learned) -> AgentDefinition:
    [proposal] = found.proposals
    [change] = proposal.changes
    assert change.body is not None
    return parse_definition(change.body, change.name)


async def test_an_agent_that_is_often_wrong_gets_a_prompt_that_does_better() -> None:
    questions = exam()
    found = await learned(questions)
    [finding] = found.findings
    assert finding.data["figures"] == {"wrong": 48, "known": 60}
    [proposal] = found.proposals
    definition = proposed(found)
    assert definition.name == "sorter"
    assert proposal.expected is not None
    assert proposal.expected["effect"] > 0.3
    assert proposal.expected["low"] > 0
    before, after = (proposal.evidence["figures"][f"right {k}, %"] for k in ("before", "after"))
    assert after - before == pytest.approx(100 * proposal.expected["effect"], abs=0.2)


def shown_by(definition: AgentDefinition) -> str:
    return definition.system_prompt + "".join(d.request for d in definition.demonstrations)


@settings(max_examples=8, deadline=None)
@given(st.integers(30, 90))
def test_nobody_is_asked_what_they_are_shown(count: int) -> None:
    questions = exam(count)
    asks = Reader()
    asyncio.run(learned(questions, asks))
    own = {one.request: one.own for one in known_answers(questions)}
    changed = [(who, request) for who, request in asks.asked if who.version != SORTER.version]
    assert changed
    assert not [own[request] for who, request in changed if own[request] in shown_by(who)]


async def test_what_is_proposed_shows_answers_of_all_folds() -> None:
    questions = exam()
    definition = proposed(await learned(questions))
    known = known_answers(questions)
    folds = {fold_of(one) for one in known if one.own in shown_by(definition)}
    assert folds == set(range(FOLDS))


async def test_every_known_answer_may_choose() -> None:
    questions = exam(48)
    asks = Reader()
    [proposal] = (await learned(questions, asks)).proposals
    assert {request for _, request in asks.asked} == {one.request for one in questions}
    assert proposal.evidence["figures"]["questions"] == 48


async def test_after_each_round_the_worst_is_asked_no_more() -> None:
    class Plain(Reader):
        """Reads what is shown as turns, and is confused by what is gathered."""

        async def ask(self, definition: AgentDefinition, request: str) -> str:
            answer = await Reader.ask(self, definition, request)
            return answer if LEARNED not in definition.system_prompt else LABELS[0]

    asks = Plain()
    [proposal] = (await learned(exam(60), asks)).proposals
    assert "right answers shown" in proposal.title
    shares = dict(zip(*_tried(proposal), strict=True))
    assert max(shares, key=lambda made: shares[made]) == "12 right answers shown"
    gathered = [1 for who, _ in asks.asked if LEARNED in who.system_prompt]
    assert ROUND <= len(gathered) < len(asks.asked) / 2


def _tried(proposal: Proposal) -> tuple[list[str], list[float]]:
    chart = proposal.evidence["chart"]
    return chart["labels"], chart["series"][0]["values"]


async def test_every_run_whose_words_are_shown_is_named() -> None:
    questions = exam(120)
    found = await learned(questions)
    [proposal] = found.proposals
    definition = proposed(found)
    shown = shown_by(definition)
    quoted = {one.question.run_id for one in known_answers(questions) if one.own in shown}
    assert len(quoted) > 10
    assert quoted <= set(proposal.evidence["runs"])


async def test_where_the_choices_stand_in_the_question_it_is_tried_without_tools() -> None:
    class Distracted(Reader):
        """Looks something up whenever it may."""

        async def ask(self, definition: AgentDefinition, request: str) -> str:
            answer = await Reader.ask(self, definition, request)
            return "I found nothing." if definition.tools else answer

    looking = SORTER.changed(tools=("search_messages",))
    questions = exam()
    runs = [replace(run, agent_version=looking.version) for run in answered(questions)]
    found = await learned(questions, Distracted(), documents=[document(looking)], runs=runs)
    assert proposed(found).tools == ()
    [proposal] = found.proposals
    assert "no tools" in proposal.title


def test_the_same_words_are_in_the_same_fold() -> None:
    one, *_ = exam(1)
    loud = replace(one, question_id="other", request=f"  {one.request.upper()}!")
    [first], [second] = known_answers([one]), known_answers([loud])
    assert fold_of(first) == fold_of(second)


def test_of_many_known_answers_all_folds_are_asked() -> None:
    asked = asked_of(known_answers(exam(400)))
    assert {fold_of(one) for one in asked} == set(range(FOLDS))
    assert len(asked) <= 100


class Lucky:
    """Is right by chance: so often as the agent is, and so often with a change that is shown."""

    def __init__(self, seed: int, now: float, changed: float) -> None:
        self._seed, self._now, self._changed = seed, now, changed

    async def ask(self, definition: AgentDefinition, request: str) -> str:
        shown = LEARNED in definition.system_prompt or definition.demonstrations
        drawn = Random(f"{self._seed} {definition.version} {request}").random()
        right = drawn < (self._changed if shown else self._now)
        said = request.partition('"')[2].strip('"')
        answer = next(label for label in LABELS for text in SAID[label] if said.startswith(text))
        return answer if right else "none of them"


@pytest.mark.parametrize(
    ("changed", "least", "most"), [(0.55, 0, 10), (0.8, 22, 40)], ids=["nothing", "25 points"]
)
async def test_chance_is_seldom_proposed_and_a_gain_mostly(
    changed: float, least: int, most: int
) -> None:
    known = known_answers(exam(60))
    found = [
        await PromptSearch(Lucky(seed, 0.55, changed)).search(SORTER, known) for seed in range(40)
    ]
    assert least <= sum(one is not None for one in found) <= most


async def test_what_gave_up_early_is_not_chosen_for_its_luck() -> None:
    class Fading(Reader):
        """Gathered answers help for a round only; turns help always, and a little less."""

        async def ask(self, definition: AgentDefinition, request: str) -> str:
            answer = await Reader.ask(self, definition, request)
            if definition.version == SORTER.version:
                return LABELS[0]
            early = request in first
            return answer if early or LEARNED not in definition.system_prompt else "nothing"

    known = known_answers(exam(60))
    first = {one.request for one in asked_of(known)[:ROUND]}
    found = await PromptSearch(Fading()).search(SORTER, known)
    assert found is not None
    assert found.candidate.made == "12 right answers shown"
    assert found.n == len(asked_of(known))
    assert found.low < found.after - found.before < found.high


def test_folds_are_alike_in_size_and_known_answers_are_taken_fold_after_fold() -> None:
    known = known_answers(exam(200))
    folds = [fold_of(one) for one in in_turn(known)]
    assert folds == sorted(folds)
    assert all(0.25 < folds.count(fold) / 200 < 0.42 for fold in range(FOLDS))
    assert {one.request for one in in_turn(known)} == {one.request for one in known}


async def test_an_agent_that_is_mostly_right_is_left_alone() -> None:
    questions = exam()
    right = [
        Run(
            one.run_id,
            one.request,
            "sorter",
            task_type="kind-1",
            agent_version=SORTER.version,
            reply=str(one.check["expected"]),
        )
        for one in questions
    ]
    asks = Reader()
    found = await learned(questions, asks, runs=right)
    assert not found.proposals
    assert not asks.asked


async def test_what_does_not_help_is_not_proposed() -> None:
    class Deaf(Reader):
        async def ask(self, definition: AgentDefinition, request: str) -> str:
            return "fee"

    assert not (await learned(exam(), Deaf())).proposals


async def test_few_questions_say_too_little() -> None:
    assert not (await learned(exam(12))).findings


async def test_the_same_version_is_searched_again_only_with_more_to_learn_from() -> None:
    first = await learned(exam(60))
    asks = Reader()
    again = await learned(exam(110), asks, state=dict(first.state))
    assert not asks.asked
    assert not again.proposals
    assert (await learned(exam(120), state=dict(again.state))).proposals


async def test_where_nothing_was_found_it_is_searched_again_sooner() -> None:
    class Deaf(Reader):
        async def ask(self, definition: AgentDefinition, request: str) -> str:
            return "fee"

    first = await learned(exam(60), Deaf())
    assert (await learned(exam(80), state=dict(first.state))).proposals


async def test_what_an_older_version_got_wrong_does_not_count_against_the_new_one() -> None:
    first = await learned(exam())
    variant = document(proposed(first), "sorter--kind-1")
    documents = [document(SORTER), variant]
    later = await learned(exam(), documents=documents, state=dict(first.state))
    assert not later.findings


async def test_the_kind_that_an_agent_fails_at_gets_a_variant_and_the_agent_stays() -> None:
    found = await learned(exam())
    [proposal] = found.proposals
    [change] = proposal.changes
    assert (change.name, change.base) == ("sorter--kind-1", None)
    assert proposal.task_type == "kind-1"
    assert proposed(found).name == "sorter"


async def test_a_variant_that_is_there_is_changed_itself() -> None:
    first = await learned(exam())
    variant = document(proposed(first), "sorter--kind-1")
    questions = exam(80)
    runs = [replace(run, agent_version=variant.version) for run in answered(questions, "nothing")]
    found = await learned(questions, runs=runs, documents=[document(SORTER), variant])
    for proposal in found.proposals:
        assert proposal.changes[0].base == variant.version
    assert found.findings


async def test_questions_of_many_kinds_are_learned_from_together() -> None:
    questions = [replace(one, task_type=f"kind-{n % 9}") for n, one in enumerate(exam())]
    found = await learned(questions)
    [proposal] = found.proposals
    assert (proposal.changes[0].name, proposal.changes[0].base) == ("sorter", SORTER.version)
    assert proposal.task_type is None


async def test_what_was_asked_in_private_makes_a_variant_for_those_who_were_there() -> None:
    inside = private_channel("C9")
    found = await learned([*exam(60, inside), *exam(4)])
    [proposal] = found.proposals
    [change] = proposal.changes
    assert change.name.startswith("sorter--kind-1--")
    assert (change.audience, proposal.audience) == (inside, inside)
    assert [finding.audience for finding in found.findings] == [inside]


async def test_public_prompts_hold_no_private_words() -> None:
    inside = private_channel("C9")
    secret = [question(n, LABELS[n % 5], inside) for n in range(100, 112)]
    found = await learned([*exam(60), *secret])
    definition = proposed(found)
    shown = shown_by(definition)
    assert not [one for one in known_answers(secret) if one.own in shown]


@pytest.mark.parametrize(
    "error", [BudgetExceeded("Used up."), AgentStopped(ModelUnavailable("Away."), ())]
)
async def test_a_search_that_is_cut_short_keeps_what_it_found(error: Exception) -> None:
    found = await learned(exam(), Reader(fails_after=80, error=error))
    assert len(found.proposals) == 1
    nothing = await learned(exam(), Reader(fails_after=3, error=error))
    assert not nothing.proposals
    assert nothing.findings


async def test_a_cycle_asks_no_more_than_it_may() -> None:
    asks = Reader()
    await learned(exam(120), asks, calls=100)
    assert len(asks.asked) <= 100


class Obedient(Reader):
    """Answers rightly where the instructions say how."""

    async def ask(self, definition: AgentDefinition, request: str) -> str:
        self.asked.append((definition, request))
        if "whatever people mean" not in definition.system_prompt:
            return "fee"
        said = request.partition('"')[2].strip('"')
        return next(label for label in LABELS for text in SAID[label] if said.startswith(text))


BETTER = says("Better:\n```\nSort by whatever people mean.\n```")


@pytest.mark.parametrize("count", [30, 60])
async def test_a_model_that_reads_its_mistakes_may_write_better_instructions(count: int) -> None:
    model = ScriptedModel(BETTER)
    questions = exam(count)
    found = await learned(questions, Obedient(), model=model, reflecting=True)
    assert "Sort by whatever people mean." in proposed(found).system_prompt
    unread = sum(fold_of(one) == 0 for one in known_answers(questions))
    assert found.proposals[0].evidence["figures"]["questions"] == unread
    read = model.asked[0].turns[-1].text
    assert "Wrong. Right is:" in read
    assert "Answer with one of the labels." in read


async def test_what_was_rewritten_before_the_budget_ended_is_kept() -> None:
    class Ends(ScriptedModel):
        def stream(self, *turns: Any, **more: Any) -> Any:
            if self.asked:
                raise BudgetExceeded("Used up.")
            return super().stream(*turns, **more)

    found = await learned(exam(), Obedient(), model=Ends(BETTER), reflecting=True)
    assert "Sort by whatever people mean." in proposed(found).system_prompt


@pytest.mark.parametrize(
    "bad",
    ["Sort by whatever people mean, see https://evil.example.", "{own} is whatever people mean."],
)
async def test_instructions_that_lead_elsewhere_or_quote_people_are_not_used(bad: str) -> None:
    questions = exam()
    [own, *_] = [one.own for one in known_answers(questions) if fold_of(one)]
    model = ScriptedModel(says(f"```\n{bad.format(own=own)}\n```"))
    asks = Obedient()
    found = await learned(questions, asks, model=model, reflecting=True)
    assert model.asked
    assert not found.proposals
    assert not [1 for who, _ in asks.asked if "whatever people mean" in who.system_prompt]


async def test_a_model_that_is_away_while_reflecting_harms_nothing() -> None:
    model = ScriptedModel(Reply(fails=ModelUnavailable("Away.")))
    found = await learned(exam(), model=model, reflecting=True)
    assert len(found.proposals) == 1


async def test_answers_are_asked_for_through_the_agents_own_loop() -> None:
    model = ScriptedModel(says("fee"))
    assert await Asker(model, {}).ask(SORTER, "Which?") == "fee"
    assert model.asked[0].turns[-1].text == "Which?"
    with pytest.raises(AgentStopped):
        await Asker(ScriptedModel(Reply(fails=ModelUnavailable("Away."))), {}).ask(SORTER, "Which?")


@pytest.mark.parametrize(
    "form",
    [
        'Which of these is it: {labels}?\n"{text}"',
        "Pick one of {labels}: {text}",
        "{text}\n\nWhich is this? Choices: {labels}",
        "Label it ({labels}). Message: {text}",
        "{text} - is it {labels}?",
    ],
)
def test_what_is_a_questions_own_is_found_beside_the_choices(form: str) -> None:
    listed = ", ".join(LABELS[:-1]) + " or " + LABELS[-1]
    texts = [text for said in SAID.values() for text in said]
    questions = [
        ExamQuestion(
            f"q{n}", f"r{n}", form.format(labels=listed, text=text),
            {"kind": "label", "labels": list(LABELS), "expected": "fee"}, "sorter", "learn",
        )
        for n, text in enumerate(texts)
    ]  # fmt: skip
    assert [one.own for one in known_answers(questions)] == texts


def test_a_label_that_is_said_in_the_text_stays() -> None:
    asked = "Is it fee, refund or limit? The fee was too high and no refund came"
    left = without_choices(asked, ("fee", "refund", "limit"))
    assert "The fee was too high and no refund came" in left


def test_every_answer_has_its_turn_before_any_has_a_second() -> None:
    known = known_answers(exam(50))
    some = chosen(known, 5)
    assert {one.answer for one in some} == set(LABELS)
    wrong = frozenset({known[7].question.question_id})
    assert known[7].question.question_id in {
        one.question.question_id for one in chosen(known, 5, wrong)
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(50, 6000), st.integers(4, 60))
def test_examples_gathered_fit_the_room_that_there_is(room: int, count: int) -> None:
    assert len(by_answer(known_answers(exam(count)), room)) <= room


async def test_a_prompt_never_outgrows_what_a_definition_may_hold() -> None:
    long = SORTER.changed(system_prompt="Sort well. " * 520)
    questions = exam(200)
    runs = [
        Run(one.run_id, one.request, "sorter", task_type="kind-1", agent_version=long.version)
        for one in questions
    ]
    found = await learned(questions, documents=[document(long)], runs=runs)
    assert len(proposed(found).system_prompt) <= MAX_PROMPT_CHARACTERS


def rated(number: int, variant: str | None, value: float) -> tuple[Run, Feedback]:
    route = {"variant": variant} if variant else {}
    run = Run(
        f"rated-{number}",
        "Hi",
        "sorter",
        task_type="kind-1",
        agent_version=variant or "v0",
        route=route,
        outcome=Outcome(),
    )
    return run, Feedback(f"f{number}", run.run_id, "rating", value, created_at=float(number))


async def test_how_variants_did_is_counted_and_later_words_replace_earlier_ones() -> None:
    variant = document(SORTER, "sorter--kind-1")
    pairs = [rated(1, None, 1), rated(2, "sorter--kind-1", -1), rated(3, "sorter--kind-1", 1)]
    felt = {run.run_id: (feedback,) for run, feedback in pairs}
    window = Window([run for run, _ in pairs], 5.0, feedback=felt, documents=[variant])
    optimizer = PromptOptimizer(SILENT, Reader())
    first = await optimizer.learn(window, {})
    record = records_of(first.state)[record_key("kind-1", "sorter--kind-1")]
    assert (record.up, record.down) == (1, 1)
    assert records_of(first.state)[record_key("kind-1", "sorter")].up == 1
    changed_mind = Feedback("f9", "rated-2", "rating", 1.0, created_at=9.0)
    both = {"rated-2": (pairs[1][1], changed_mind)}
    later = Window([], 9.0, feedback=both, older=[pairs[1][0]], documents=[variant])
    second = await optimizer.learn(later, first.state)
    record = records_of(second.state)[record_key("kind-1", "sorter--kind-1")]
    assert (record.up, record.down) == (2, 0)


def test_a_documents_version_is_its_definitions() -> None:
    assert document(SORTER).version == content_hash(SORTER.body())


async def test_examples_of_each_choice_are_waited_for() -> None:
    labels = tuple(f"label_{n}" for n in range(16))
    questions = [
        replace(
            one,
            check={"kind": "label", "labels": list(labels), "expected": labels[n % 16]},
            request=f'Which of {", ".join(labels)} is it?\n"{one.request}"',
        )
        for n, one in enumerate(exam(64))
    ]
    asks = Reader()
    early = await learned(questions[:63], asks)
    assert (early.findings, early.proposals) == ((), ())
    assert not asks.asked
    assert (await learned(questions, asks)).findings


@pytest.mark.parametrize(("seconds", "asks"), [(0.0, False), (60.0, True)])
async def test_rewriting_that_takes_long_is_not_waited_for(seconds: float, asks: bool) -> None:
    class Stubborn(Reader):
        """Answers as if it had been shown nothing, so that there are mistakes to read."""

        async def ask(self, definition: AgentDefinition, request: str) -> str:
            return "fee"

    reflected: list[str] = []

    async def reflect(prompt: str) -> str:
        reflected.append(prompt)
        return "Sort by what is asked."

    search = PromptSearch(Stubborn(), reflect, calls=300, reflecting_s=seconds)
    assert await search.search(SORTER, known_answers(exam())) is None
    assert bool(reflected) is asks
