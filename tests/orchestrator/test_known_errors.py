"""What is known of errors reaches the answers of those who may know it, and passes in time."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.improvement.error_recovery import in_control
from agents.improvement.lessons import Fix, Lesson
from agents.ports import KnownErrorsPort
from agents.tools.base import Tool, ToolFailed
from agents.tools.calling import NOT_CALLED
from agents.universal_agent import AgentFinished
from database.learning import Change, Decision
from database.records import PUBLIC, Run, Step, content_hash, one_person
from database.store import Store
from orchestrator.known_errors import FAULT_SECONDS, FAULTS, KnownErrors
from tests.agents.doubles import ScriptedModel, calls, context, says
from tests.agents.running import definition, finished, told, tool
from tests.clock import Clock

TOLD = next(f"run-{n}" for n in range(99) if not in_control(f"run-{n}"))
CONTROL = next(f"run-{n}" for n in range(999) if in_control(f"run-{n}"))
LESSON = Lesson(
    tool="calendar",
    error="date must look like <*>",
    when="date~99/99/9999",
    fix=Fix(kind="change", names=("date",), like="9999-99-99"),
)
BAD = {"date": "31/12/2026"}
GOOD = {"date": "2026-12-31"}


class Calendar:
    """Takes dates in one form only; remembers what it was called with."""

    def __init__(self, problem: str = "date must look like '2026-12-31'") -> None:
        self.called: list[Mapping[str, Any]] = []
        self._problem = problem

    async def __call__(self, arguments: Mapping[str, Any], _: object) -> str:
        self.called.append(arguments)
        if arguments == BAD:
            raise ToolFailed(self._problem)
        return "free"

    @property
    def tools(self) -> dict[str, Tool]:
        return {"calendar": tool("calendar", self)}


async def with_lesson(store: Store, audience: str = PUBLIC, lesson: Lesson = LESSON) -> KnownErrors:
    await store.create_document(
        "lesson", lesson.name, lesson.body(), origin="proposal", audience=audience
    )
    known = KnownErrors(store)
    await known.refresh()
    return known


def for_all(known: KnownErrors) -> KnownErrorsPort:
    found = known.told(TOLD, {PUBLIC})
    assert found is not None
    return found


async def answered(
    calendar: Calendar, known: KnownErrorsPort | None, *wanted: Mapping[str, Any]
) -> tuple[AgentFinished, ScriptedModel]:
    script = [calls(("calendar", given)) for given in wanted]
    model = ScriptedModel(*script, says("done"))
    given = replace(context(), known_errors=known)
    end = await finished(model, definition("calendar"), tools=calendar.tools, given=given)
    return end, model


async def test_a_call_that_is_known_to_fail_is_not_made_and_the_model_hears_why(
    store: Store,
) -> None:
    calendar = Calendar()
    end, model = await answered(calendar, for_all(await with_lesson(store)), BAD, GOOD)
    assert calendar.called == [GOOD]
    kept = next(step for step in end.steps if step.kind == "tool")
    assert kept.ok is False
    assert (kept.error or "").startswith(NOT_CALLED)
    heard = next(turn.text for turn in model.asked[1].turns if turn.role == "tool")
    assert "9999-99-99" in heard
    assert end.reply == "done"


async def test_whoever_insists_is_let_through(store: Store) -> None:
    calendar = Calendar()
    await answered(calendar, for_all(await with_lesson(store)), BAD, BAD)
    assert calendar.called == [BAD]


async def test_after_a_failure_the_model_hears_what_worked(store: Store) -> None:
    unforeseen = LESSON.model_copy(update={"when": None})
    known = for_all(await with_lesson(store, lesson=unforeseen))
    calendar = Calendar()
    end, model = await answered(calendar, known, BAD)
    assert calendar.called == [BAD]
    assert "It worked with another `date`" in told(model)
    failed = next(step for step in end.steps if step.kind == "tool")
    assert "It worked" not in (failed.error or "")  # the record keeps the tool's own words


async def test_the_control_is_told_of_nothing(store: Store) -> None:
    known = await with_lesson(store)
    assert known.told(CONTROL, {PUBLIC}) is None
    calendar = Calendar()
    _, model = await answered(calendar, known.told(CONTROL, {PUBLIC}), BAD)
    assert calendar.called == [BAD]
    assert "worked" not in told(model)


async def test_a_private_lesson_is_told_only_where_it_may_be_read(store: Store) -> None:
    known = await with_lesson(store, one_person("U1"))
    assert for_all(known).before("calendar", BAD) is None
    theirs = known.told(TOLD, {PUBLIC, one_person("U1")})
    assert theirs is not None
    assert theirs.before("calendar", BAD) is not None


async def test_a_lesson_that_is_retired_is_forgotten(store: Store) -> None:
    known = KnownErrors(store)
    body = LESSON.body()
    made = Change("lesson", LESSON.name, None, body)
    await store.decide(Decision(changes=(made,)))
    await known.refresh()
    assert for_all(known).before("calendar", BAD) is not None
    retired = Change("lesson", LESSON.name, content_hash(body), None)
    await store.decide(Decision(changes=(retired,)))
    await known.refresh()
    assert for_all(known).before("calendar", BAD) is None


async def test_a_document_that_is_no_lesson_stops_nothing(store: Store) -> None:
    await store.create_document("lesson", "old", {"anything": 1}, origin="person")
    assert for_all(await with_lesson(store)).before("calendar", BAD) is not None


def fault(error: str | None = "503 service unavailable") -> Run:
    step = Step(0, "tool", "search", {}, ok=error is None, error=error)
    return Run("r", "Find it", "helper", steps=(step,))


async def test_a_tool_that_is_away_is_left_alone_for_a_while_and_no_longer(store: Store) -> None:
    clock = Clock()
    known = KnownErrors(store, clock=clock)
    for _ in range(FAULTS):
        assert for_all(known).before("search", {}) is None
        await known.note(fault())
    assert for_all(known).before("search", {}) is not None
    assert for_all(known).before("calendar", {}) is None
    clock.now += FAULT_SECONDS + 1
    assert for_all(known).before("search", {}) is None


async def test_a_tool_that_came_back_is_used_at_once(store: Store) -> None:
    known = KnownErrors(store)
    for _ in range(FAULTS):
        await known.note(fault())
    await known.note(fault(None))
    assert for_all(known).before("search", {}) is None


async def test_other_mistakes_do_not_make_a_tool_look_away(store: Store) -> None:
    known = KnownErrors(store)
    for _ in range(9):
        await known.note(fault("there is no such page"))
    assert for_all(known).before("search", {}) is None


async def test_a_passing_fault_is_said_to_pass(store: Store) -> None:
    _, model = await answered(Calendar("503, try again later"), for_all(KnownErrors(store)), BAD)
    assert "try once more" in told(model)
