"""Saved workflows: a run or a thread, made replayable with new inputs."""

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

from agents.generalising import WorkflowInput, filled
from agents.ports import FileRef, ToolContext
from agents.runbooks import runbook_body
from agents.turns import Turn
from agents.universal_agent import AgentFinished
from database.errors import InputError, ModelError, UnknownName
from database.privacy import Redactor
from database.records import (
    PUBLIC,
    Document,
    Reader,
    Run,
    content_hash,
    one_person,
    private_channel,
    random_run_id,
    run_id_of,
)
from database.store import Store
from orchestrator.agent_pool import AgentPool, without_learned
from orchestrator.answering import thread_reader
from orchestrator.requests import Request
from orchestrator.routing import GENERALIST

MAX_STEPS = 20
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")
_MAX_NAME = 64


class Workflows:
    """Saved workflows, as their readers may see them.

    A workflow is a Document of kind `runbook`: `{"description", "steps": [{"request", "agent"}],
    "inputs": [{"name", "example"}]}`; a step's request names its inputs in braces.

    Each audience has its own names: a private workflow neither takes nor tells a name that others
    use. Where a person may see several of one name, their own goes before a private channel's, and
    that before everybody's. While learning is `off`, what was learned gives way to what people
    saved.
    """

    def __init__(
        self,
        store: Store,
        pool: AgentPool,
        redactor: Redactor,
        *,
        off: Callable[[], bool] = lambda: False,
        recorded: Callable[[Run], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._pool = pool
        self._redactor = redactor
        self._kept: list[Document] = []
        self._off = off
        self._recorded = recorded
        self._seen: tuple[int, bool] | None = None

    async def save(self, name: str, runs: Sequence[Run], author: str, audience: str) -> Document:
        """Keep these runs (oldest first) as a workflow that whoever may read them all may use.

        Returns it under the name that its readers call it by. The same runs saved again by the
        same person under the same name are the same save, as after a crash before it was told.
        Raises InputError with what to do when the name cannot be used or is taken, by this
        audience's or by everybody's, or when there is nothing to save.
        """
        slug = slug_of(name)
        answered = [run for run in runs if run.reply and run.kind == "reply"]
        readers = _narrowest(answered, author, audience)
        body = runbook_body([(run.request, run.agent) for run in _steps_of(answered)])
        known = _named(slug, readers, await self._documents())
        if known and (known.author, known.version) == (author, content_hash(body)):
            return known
        taken = InputError(f"The name {slug} is taken; choose another.")
        if known or (await self._store.document("runbook", slug)):
            raise taken
        try:
            made = await self._store.create_document(
                "runbook", self._key(slug, readers), body,
                origin="person", author=author, audience=readers,
            )  # fmt: skip
        except InputError:
            raise taken from None
        return replace(made, name=slug)

    def _key(self, slug: str, audience: str) -> str:
        """What a workflow's document is called: it names no person, also where it is one's own."""
        if audience == PUBLIC:
            return slug
        whose = f"{self._store.workspace} {audience}"
        return f"{slug}@{hashlib.sha256(whose.encode()).hexdigest()[:12]}"

    async def _documents(self) -> list[Document]:
        """Every workflow, under the name that its readers call it by."""
        seen = self._store.documents_changed(), self._off()
        if seen != self._seen:
            documents = await self._store.documents("runbook")
            if seen[1]:
                documents = await without_learned(self._store, documents)
            self._kept = [replace(d, name=d.name.partition("@")[0]) for d in documents]
            self._seen = seen
        return self._kept

    async def names(self, reader: Reader) -> list[str]:
        """Names of the workflows that `reader` may see, in order."""
        return sorted({document.name for document in await self.seen_by(reader)})

    async def seen_by(self, reader: Reader) -> list[Document]:
        """The workflows that `reader` may see, under the names that they are called by there."""
        allowed = reader.audiences()
        return [document for document in await self._documents() if document.audience in allowed]

    async def named_in(self, text: str, reader: Reader) -> list[str]:
        """The workflows that `text` speaks of, with spaces or hyphens, that `reader` may see."""
        words = f"-{_BETWEEN_WORDS.sub('-', text.lower())}-"
        return [name for name in await self.names(reader) if f"-{name}-" in words]

    async def inputs(self, name: str, reader: Reader) -> list[WorkflowInput]:
        """The blanks of a workflow, in order of use. Raises UnknownName."""
        return _inputs(await self._visible(name, reader))

    async def requests(
        self, name: str, inputs: Mapping[str, str], request_base: Request
    ) -> list[Request]:
        """The requests to answer one after the other; blanks not given keep their example.

        Each continues the one before, whose answer it sees. Raises UnknownName, or InputError for
        an input that the workflow does not have or that must be given.
        """
        document = await self._visible(name, thread_reader(request_base))
        made: list[Request] = []
        previous = request_base.parent_run_id
        for number, (text, agent) in enumerate(self._steps(document, inputs)):
            run_id = run_id_of(request_base.run_id, "step", str(number))
            made.append(
                replace(
                    request_base, run_id=run_id, text=text, agent=agent, parent_run_id=previous,
                    workflow=document.name, workflow_version=document.version,
                )
            )  # fmt: skip
            previous = run_id
        return made

    async def run_inline(self, name: str, inputs: Mapping[str, str], reader: Reader) -> str:
        """Replay a workflow with new inputs and return its last answer.

        Each step sees the answers before it and is recorded as a task. Raises UnknownName,
        InputError as `requests` does, and ModelError when a step could not be answered.
        """
        document = await self._visible(name, reader)
        turns: list[Turn] = []
        for text, agent in self._steps(document, inputs):
            turns.append(Turn("user", text))
            reply = await self._answer(agent or GENERALIST, turns, reader, document)
            turns.append(Turn("assistant", reply))
        return turns[-1].text

    async def _visible(self, name: str, reader: Reader) -> Document:
        slug = name.strip().lower().replace(" ", "-")
        documents = await self._documents()
        for audience in _narrow_first(reader):
            if document := _named(slug, audience, documents):
                return document
        names = await self.names(reader)
        there = f"There are: {', '.join(names)}." if names else "None is saved yet."
        raise UnknownName(f"There is no workflow called {name}. {there}")

    def _steps(self, document: Document, given: Mapping[str, str]) -> list[tuple[str, str | None]]:
        """Each step's request, filled in, and its agent if that still exists."""
        inputs = _inputs(document)
        values = _values(document.name, inputs, given)
        known = self._pool.definitions
        return [
            (filled(step["request"], values), step["agent"] if step["agent"] in known else None)
            for step in document.body["steps"]
        ]

    async def _answer(
        self, agent: str, turns: Sequence[Turn], reader: Reader, workflow: Document
    ) -> str:
        began, started_at = time.perf_counter(), time.time()
        async with (
            self._pool.use(agent) as live,
            aclosing(live.agent.run(turns, self._context(reader))) as events,
        ):
            finished = [e async for e in events if isinstance(e, AgentFinished)][-1]
        run = Run(
            random_run_id(),
            turns[-1].text,
            agent,
            kind="task",
            started_at=started_at,
            duration_ms=(time.perf_counter() - began) * 1000,
            user_id=reader.user_id or None,
            audience=_audience_of(reader),
            agent_version=live.document.version,
            model=finished.model,
            reply=finished.reply,
            error=str(finished.error) if finished.error else None,
            route={"workflow": workflow.name, "workflow_version": workflow.version},
            input_tokens=finished.input_tokens,
            output_tokens=finished.output_tokens,
            cost_usd=finished.cost_usd,
            steps=finished.steps,
        )
        kept = self._redactor.redact_run(run)
        self._store.append(kept)
        self._recorded(kept)
        if finished.error is not None:
            raise ModelError(f"A step of the workflow broke off. {finished.error}")
        return finished.reply

    def _context(self, reader: Reader) -> ToolContext:
        return ToolContext(
            user_id=reader.user_id,
            channel_id="",
            thread_ts="",
            reader=reader,
            now=datetime.now(UTC),
            recall=self._store,
            files=NoFiles(),
            workflows=NoWorkflows(),
        )


def slug_of(name: str) -> str:
    """The name as documents are called. Raises InputError that says what a name may hold."""
    slug = re.sub(r"[\s_]+", "-", name.strip().lower())
    if not slug:
        raise InputError("Give the workflow a name, such as: weekly-report.")
    if len(slug) > _MAX_NAME or not _SLUG.fullmatch(slug):
        raise InputError(
            f"Name the workflow with up to {_MAX_NAME} letters a-z, digits and single hyphens, "
            "such as: weekly-report."
        )
    return slug


def _named(slug: str, audience: str, documents: Sequence[Document]) -> Document | None:
    return next((d for d in documents if (d.name, d.audience) == (slug, audience)), None)


def _narrow_first(reader: Reader) -> list[str]:
    own = one_person(reader.user_id)
    return sorted(reader.audiences(), key=lambda a: (a != own, a == PUBLIC, a))


def _steps_of(answered: Sequence[Run]) -> list[Run]:
    """What to keep of a thread's answers. Raises InputError when that is nothing, or too much."""
    if not answered:
        raise InputError("There is no answer to save yet. Ask me something first, then save it.")
    steps = _last_words(answered)
    if len(steps) > MAX_STEPS:
        raise InputError(
            f"A workflow has at most {MAX_STEPS} steps, this thread has {len(steps)}. "
            "Save a single answer instead."
        )
    return steps


def _last_words(runs: Sequence[Run]) -> list[Run]:
    """Each question once, as the run that answered it last, asked with all wishes at once.

    A run made by `/better` repeats its parent's question and keeps the wish in its route.
    """
    known = {run.run_id: run for run in runs}
    bettered = {run.parent_run_id for run in runs if _wish(run)}
    return [
        replace(run, request="\n\n".join([run.request, *_wishes(run, known)]))
        for run in runs
        if run.run_id not in bettered
    ]


def _wishes(run: Run | None, known: Mapping[str, Run]) -> list[str]:
    """What was wished for a question and its better answers, first to last."""
    wishes: list[str] = []
    while run is not None and (wish := _wish(run)):
        wishes.insert(0, wish)
        run = known.get(run.parent_run_id or "")
    return wishes


def _wish(run: Run) -> str:
    return str((run.route or {}).get("instruction") or "")


def _inputs(document: Document) -> list[WorkflowInput]:
    return [WorkflowInput(i["name"], i["example"]) for i in document.body["inputs"]]


def _values(name: str, inputs: Sequence[WorkflowInput], given: Mapping[str, str]) -> dict[str, str]:
    known = [i.name for i in inputs]
    unknown = [key for key in given if key not in known]
    if unknown:
        has = f"Its inputs are: {', '.join(known)}." if known else "It has no inputs."
        raise InputError(f"The workflow {name} has no input called {unknown[0]}. {has}")
    values = {i.name: given.get(i.name) or i.example for i in inputs}
    missing = [key for key, value in values.items() if not value]
    if missing:
        raise InputError(
            f"Give {' and '.join(missing)}, such as: run {name} {missing[0]}=... "
            "What stood there was private and is not kept."
        )
    return values


def _narrowest(runs: Sequence[Run], author: str, audience: str) -> str:
    """Who may read all of the runs: one shared private audience, or else the author alone."""
    private = ({run.audience for run in runs} | {audience}) - {PUBLIC}
    if not private:
        return PUBLIC
    return private.pop() if len(private) == 1 else one_person(author)


def _audience_of(reader: Reader) -> str:
    if reader.user_id:
        return one_person(reader.user_id)
    channels = sorted(reader.channels)
    return private_channel(channels[0]) if channels else PUBLIC


class NoFiles:
    """A replayed workflow has no thread, and so no files."""

    def files(self) -> Sequence[FileRef]:
        """None."""
        return ()

    async def read(self, file_id: str) -> bytes:
        """Raises UnknownName."""
        raise UnknownName("No files are shared here.")


class NoWorkflows:
    """A workflow starts no workflow: it could be itself."""

    async def names(self, reader: Reader) -> Sequence[str]:
        """None."""
        return ()

    async def named_in(self, text: str, reader: Reader) -> Sequence[str]:
        """None."""
        return ()

    async def run_inline(self, name: str, inputs: Mapping[str, str], reader: Reader) -> str:
        """Raises UnknownName."""
        raise UnknownName("A workflow cannot run another workflow.")
