"""Which version answers a request: an agent's own, a variant, or an arm of a running trial.

Everything is decided from memory, in microseconds; `refresh` brings the memory up to date and is
called off the reply's path, after each move of the pipeline and by the clock.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from cachetools import LRUCache

from agents.definition import AgentDefinition, DefinitionError, parse_definition
from agents.variants import agent_of, variant_of
from database.learning import Proposal, Trial
from database.records import Document
from database.store import Store
from orchestrator.agent_pool import AgentPool
from orchestrator.routing import FLOOR, Matrix, Vector, times
from orchestrator.verifying import by_use, verification_id

Arm = Literal["active", "candidate"]

ChooseVariant = Callable[[str, str, Sequence[str]], str]
"""Which of the documents (the agent's own first, then its variants, oldest first) answers a thread,
given the agent and the task type."""

_THREADS = 10_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Course:
    """A running trial with its candidate. `fresh`: the candidate is of no document there is yet.

    `verifies`: it watches what is live already, which goes on while nothing new is tried. `lines`
    are those of a new specialist that is for no kind of requests in particular: it is compared on
    what would be routed to it.
    """

    trial: Trial
    candidate: Document
    definition: AgentDefinition
    fresh: bool = False
    verifies: bool = False
    lines: Matrix | None = None

    def concerns(self, agent: str, document: Document, place: "Place") -> bool:
        """Whether a request that this document would answer is one to compare on."""
        trial = self.trial
        if self.candidate.audience not in place.audiences:
            return False
        if trial.task_type is not None and trial.task_type != place.task_type:
            return False
        if self.fresh and agent == trial.agent:
            return self._is_for(place.vector)
        return (document.name, document.version) == (trial.agent, trial.active)

    def _is_for(self, vector: Vector | None) -> bool:
        if self.lines is None:
            return True
        return vector is not None and float(times(self.lines, vector).max()) >= FLOOR


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request is: what decides about its arms besides its agent.

    `thread` stays with one arm; `learned` says whether anything may be learned from it, `vector` is
    what routing knows the request by.
    """

    thread: str
    run_id: str
    task_type: str | None = None
    audiences: Collection[str] = ()
    learned: bool = True
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """Which document and version are to answer, and as what.

    `trial_id` and `arm` are those of a split trial; `shadows` are the trials whose candidates are
    to answer as well, unseen.
    """

    document: str
    version: str | None = None
    trial_id: str | None = None
    arm: Arm | None = None
    shadows: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What the run's route keeps of it; nothing in the usual case."""
        kept: dict[str, Any] = {}
        if variant_of(self.document):
            kept["variant"] = self.document
        if self.trial_id:
            kept |= {"trial": self.trial_id, "arm": self.arm}
        if self.shadows:
            kept["shadows"] = list(self.shadows)
        return kept


def newest(_agent: str, _task_type: str, names: Sequence[str]) -> str:
    """The variant that was made last."""
    return names[-1]


def _never(_agent: str) -> bool:
    return False


class Arms:
    """Serves the running trials. `off` is the off switch, `paused` tells of an agent on which
    nothing new is to be tried; both are read from memory.
    """

    def __init__(
        self,
        store: Store,
        pool: AgentPool,
        *,
        off: Callable[[], bool] = lambda: False,
        paused: Callable[[str], bool] = _never,
        choose: ChooseVariant = newest,
    ) -> None:
        self._store = store
        self._pool = pool
        self._off = off
        self._paused = paused
        self._choose = choose
        self._courses: dict[str, Course] = {}
        self._by_agent: Mapping[str, Sequence[Course]] = {}
        self._seen: tuple[int, int] | None = None
        self._chosen: LRUCache[tuple[str, str, str], str] = LRUCache(_THREADS)

    @property
    def off(self) -> bool:
        """Whether what was learned gives way to what was there before."""
        return self._off()

    @property
    def courses(self) -> Sequence[Course]:
        """The trials that are served, oldest first."""
        return tuple(self._courses.values())

    def course(self, trial_id: str) -> Course | None:
        """A trial that is served."""
        return self._courses.get(trial_id)

    async def refresh(self) -> None:
        """Take over the running trials and their candidates; costs two numbers if none changed."""
        await self._pool.refresh()
        seen = self._store.learning_changes(), self._store.documents_changed()
        if seen == self._seen:
            return
        trials = await self._store.trials(states={"running"})
        found = [await self._course(trial) for trial in sorted(trials, key=lambda t: t.started_at)]
        self._courses = {course.trial.trial_id: course for course in found if course}
        self._by_agent = _by_agent(self._courses.values())
        splits = [c.candidate for c in self._courses.values() if c.trial.method == "split"]
        self._pool.offer(splits)
        self._seen = seen

    def serve(self, agent: str, place: Place) -> Served:
        """What answers `agent`'s request. Raises UnknownName where there is no such agent."""
        document = self._pool.document(self._document(agent, place))
        running = self._by_agent.get(agent)
        if not running or not place.learned or self._off():
            return Served(document.name)
        paused = self._paused(agent)
        concerned = [
            course
            for course in running
            if (course.verifies or not paused) and course.concerns(agent, document, place)
        ]
        for course in concerned:
            if course.trial.method == "split" and takes_part(course.trial, place.thread):
                return self._in_arm(course, document, place)
        return Served(document.name, shadows=_shadowing(concerned, place))

    def _in_arm(self, course: Course, document: Document, place: Place) -> Served:
        trial = course.trial
        if arm_of(trial, place.thread) == "active":
            return Served(document.name, document.version, trial.trial_id, "active")
        name = course.candidate.name
        return Served(name, trial.candidate, trial.trial_id, "candidate")

    def _document(self, agent: str, place: Place) -> str:
        names = self._pool.variants(agent, place.task_type)
        seen = [n for n in names if self._pool.document(n).audience in place.audiences]
        if not seen or place.task_type is None:
            return agent
        key = (place.thread, agent, place.task_type)
        chosen = self._chosen.get(key)
        if chosen not in (agent, *seen):
            chosen = self._choose(agent, place.task_type, (agent, *seen))
            self._chosen[key] = chosen
        return chosen if chosen in seen else agent

    async def _course(self, trial: Trial) -> Course | None:
        if trial.method == "replay":
            return None
        proposal = await self._store.proposal(trial.proposal_id)
        verifies = trial.trial_id == verification_id(trial.proposal_id)
        if verifies and proposal and by_use(proposal):
            return None  # a workflow or a lesson answers nothing itself
        candidate = await candidate_of(self._store, trial, proposal)
        if candidate is None:
            log.error("candidate_missing", trial=trial.trial_id, version=trial.candidate)
            return None
        try:
            definition = parse_definition(candidate.body, f"the candidate of {candidate.name}")
        except DefinitionError as error:
            log.error("candidate_unusable", trial=trial.trial_id, problem=str(error))
            return None
        fresh = await self._store.document("agent", candidate.name) is None
        lines = None
        if fresh and trial.task_type is None and variant_of(candidate.name) is None:
            lines = self._pool.lines(candidate, definition)
        return Course(trial, candidate, definition, fresh, verifies, lines)


async def candidate_of(store: Store, trial: Trial, proposal: Proposal | None) -> Document | None:
    """The candidate of a trial: its proposal's, or (in a verification) a version there was."""
    for change in proposal.changes if proposal else ():
        if change.kind == "agent" and change.body is not None and change.version == trial.candidate:
            known = await store.document("agent", change.name)
            audience = known.audience if known else change.audience
            return Document(
                "agent", change.name, change.body, trial.candidate, base=change.base,
                origin="proposal", audience=audience, active=False,
            )  # fmt: skip
    variant = variant_of(trial.agent)
    for name in (trial.agent, *([variant.agent] if variant else [])):
        if found := await store.document("agent", name, trial.candidate):
            return found
    active = await store.documents("agent")
    return next((d for d in active if d.version == trial.candidate), None)


def _by_agent(courses: Iterable[Course]) -> dict[str, list[Course]]:
    found: dict[str, list[Course]] = {}
    for course in courses:
        found.setdefault(agent_of(course.trial.agent), []).append(course)
    return found


def takes_part(trial: Trial, key: str) -> bool:
    """Whether a thread (of a split) or a request (of a shadow trial) is one to compare on.

    A split with a share of 0 gives nobody the candidate and watches what is served to all.
    """
    if trial.method == "split" and trial.share <= 0:
        return True
    return _drawn("part", trial.trial_id, key) < trial.share


def arm_of(trial: Trial, thread: str) -> Arm:
    """The arm of a thread that takes part: half of them each, and always the same."""
    if trial.share <= 0:
        return "active"
    return "candidate" if _drawn("arm", trial.trial_id, thread) < 0.5 else "active"


def _shadowing(concerned: Sequence[Course], place: Place) -> tuple[str, ...]:
    return tuple(
        course.trial.trial_id
        for course in concerned
        if course.trial.method == "shadow" and takes_part(course.trial, place.run_id)
    )


def _drawn(*parts: str) -> float:
    """A number in 0..1 that looks random and is the same for the same parts in any process."""
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
