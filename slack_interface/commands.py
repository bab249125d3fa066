"""The commands a person can give, by slash, by words in a thread, by button or by shortcut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from database.errors import InputError, NotAllowed, UnknownName
from database.records import PUBLIC, Reader, Run, RunQuery
from orchestrator.goal_figures import goal_scores
from slack_interface.answer_cards import how_card
from slack_interface.answering import Answering
from slack_interface.blocks import escaped, section, shortened
from slack_interface.cards import ABILITIES, metrics_card, workflow_card
from slack_interface.feedback_handler import FeedbackHandler
from slack_interface.files import SharedFiles
from slack_interface.goals import Goals
from slack_interface.incoming import Incoming
from slack_interface.learning import Learning
from slack_interface.metrics_request import USAGE, MetricsRequest, parse_metrics
from slack_interface.my_data import MyData
from slack_interface.places import Places
from slack_interface.ports import Record, Workflows
from slack_interface.sends import Place
from slack_interface.typed import TypedCommand, inputs_from
from slack_interface.voice import Voice

SAVE_USAGE = "Say `save-workflow NAME`, for example `/save-workflow weekly-report`."
NO_ANSWER = (
    "I have not answered you here yet. Ask me something first; or go to the thread with the "
    "answer and say it there."
)
GONE = "I no longer have that answer here. Please ask again."
MAX_WORKFLOW_RUNS = 50


@dataclass(slots=True)
class Commands:
    """Obeys; every refusal is an InputError whose words the person sees."""

    answering: Answering
    workflows: Workflows
    record: Record
    feedback: FeedbackHandler
    places: Places
    files: SharedFiles
    voice: Voice
    my_data: MyData
    learning: Learning | None = None
    goals: Goals | None = None

    async def obey(self, item: Incoming) -> None:
        """A slash command, a button or a shortcut."""
        match item.kind, item.command:
            case "improve", _:
                await self.improve(item, await self._known_run(item), item.text)
            case "run_workflow", _:
                await self.run_workflow(item, item.subject, item.inputs or {})
            case "save_workflow", _:
                run = await self._known_run(item)
                await self.save_workflow(item, item.text, run)
            case (("my_data" | "export_me" | "forget_me"), _):
                await self.my_data.obey(item)
            case "learning", _ if self.learning:
                await self.learning.obey(item)
            case "goal", _ if self.goals:
                await self.goals.obey(item)
            case _:
                await self._obey_slash(item)

    async def _obey_slash(self, item: Incoming) -> None:
        match item.command:
            case "/better":
                await self.better(item, item.text)
            case "/save-workflow":
                await self.save_workflow(item, item.text, None)
            case "/metrics":
                await self.metrics(item, item.text)
            case _:
                raise UnknownName(f"I do not know {item.command}.\n{ABILITIES}")

    async def obey_typed(self, item: Incoming, command: TypedCommand) -> bool:
        """A command in plain words; False where it turns out to be an ordinary sentence."""
        perhaps = {
            "metrics": self._typed_metrics,
            "run": self._typed_run,
            "learning": self._typed_learning,
            "why": self._typed_learning,
            "about-learning": self._typed_learning,
        }
        if command.name in perhaps:
            return await perhaps[command.name](item, command)
        match command.name:
            case "help":
                await self.voice.tell(item, ABILITIES, [section(ABILITIES)])
            case "better":
                await self.better(item, command.rest)
            case "save-workflow":
                await self.save_workflow(item, command.rest, None)
            case "how":
                await self.how_answered(item)
            case "my-data":
                await self.my_data.show(item)
        return True

    async def say_answer(self, item: Incoming) -> None:
        """What a goal came to; nobody asks for it just now, so nobody's rights are asked."""
        if self.goals:
            await self.goals.showing.say_answer(item)

    # /better

    async def better(self, item: Incoming, wish: str) -> None:
        """Answer the person's last question here again, with `wish` in mind."""
        run = await self._last_run(item)
        if not wish:
            raise InputError(
                "Say what should be better, for example `/better shorter` or `better: in French`."
            )
        await self.improve(item, run, wish)

    async def improve(self, item: Incoming, run: Run, wish: str) -> None:
        """Answer `run`'s question again in its thread."""
        await self.feedback.better(run.run_id, item.user_id, wish, item.key)
        thread_ts = run.thread_ts or run.message_ts or item.thread_ts
        item = replace(item, thread_ts=thread_ts)
        opener = item.ts or await self._announce_better(item, wish)
        base = self.answering.request(item, wish, message_ts=opener or "")
        request = await self.answering.orchestrator.better_request(run, wish, base)
        await self.answering.answer(request, item, self.files.of(item))

    async def _announce_better(self, item: Incoming, wish: str) -> str | None:
        """A command or button leaves no message: say in the thread what was asked for."""
        asked = f"<@{item.user_id}> asked for a better answer"
        text = f"{asked}: _{escaped(shortened(wish, 300))}_" if wish else asked
        return await self._open_with(item, text)

    async def _open_with(self, item: Incoming, text: str) -> str | None:
        """The message that stands for a command or button, which leaves none."""
        place = Place(item.channel_id, item.thread_ts)
        return await self.voice.post_once(f"{item.key}:opener", place, text)

    async def _last_run(self, item: Incoming) -> Run:
        """The answer meant by 'the last one': in a thread whoever asked for it, else one's own."""
        if item.in_thread:
            query = RunQuery(channel_id=item.channel_id, thread_ts=item.thread_ts, limit=1)
            run = next(iter(await self.record.runs(query)), None)
        else:
            run = await self.record.last_reply(item.channel_id, item.user_id)
        if run is None:
            raise InputError(NO_ANSWER)
        return run

    async def _known_run(self, item: Incoming) -> Run:
        """The run that `item` is about; what is made of it may be seen where it was, only."""
        run = await self.record.run(item.subject)
        if run is None or run.channel_id != item.channel_id:
            raise InputError(GONE)
        return run

    async def require_readable(self, run_id: str, user_id: str, channel_id: str = "") -> None:
        """Raises InputError where somebody may not read a run; `channel_id` is where they are.

        A run that is not recorded yet is nobody's secret.
        """
        run = await self.record.run(run_id)
        if run is None or run.user_id == user_id or (channel_id and run.channel_id == channel_id):
            return
        if run.audience not in (await self.places.reader(user_id)).audiences():
            raise InputError(GONE)

    # Who answered, and why

    async def how_answered(self, item: Incoming) -> None:
        """Tell how the last answer here came about."""
        text, blocks = how_card(await self._last_run(item))
        await self.voice.tell(item, text, blocks)

    # Workflows

    async def save_workflow(self, item: Incoming, name: str, run: Run | None) -> None:
        """Keep the thread of `run` (else of the last answer) as a workflow."""
        run = run or await self._last_run(item)
        name = name.strip()
        if not name:
            raise InputError(SAVE_USAGE)
        runs = await self._thread_runs(run)
        document = await self.workflows.save(name, runs, item.user_id, run.audience)
        reader = await self.places.reader(item.user_id)
        inputs = await self.workflows.inputs(document.name, reader)
        text, blocks = workflow_card(document.name, inputs, saved=True)
        await self.voice.tell(item, text, blocks)

    async def _thread_runs(self, run: Run) -> list[Run]:
        """All answers of the thread, oldest first."""
        if not run.thread_ts or not run.channel_id:
            return [run]
        query = RunQuery(
            channel_id=run.channel_id, thread_ts=run.thread_ts, limit=MAX_WORKFLOW_RUNS
        )
        found = [entry for entry in await self.record.runs(query) if not entry.error][::-1]
        if self.goals:
            found = await self.goals.with_steps(found)
        return found or [run]

    async def run_workflow(self, item: Incoming, name: str, inputs: Mapping[str, str]) -> None:
        """Do a saved workflow again, in the thread or in a new one."""
        reader = await self.places.reader(item.user_id)
        names = await self.workflows.names(reader)
        if name not in names:
            name = name.lower()
        if name not in names:
            raise UnknownName(_unknown_workflow(name, names))
        place = self.places.reader_of_place(reader, item.channel_id, item.channel_type)
        if name not in await self.workflows.names(place):
            raise NotAllowed(
                f"The workflow {name} was saved where not everybody here can read. Run it in a "
                "direct message with me, or save it again from a thread that everybody can read."
            )
        opener = item.ts
        if not item.ts:
            values = ", ".join(f"{key} = {value}" for key, value in inputs.items())
            said = f"<@{item.user_id}> runs *{escaped(name)}*" + (
                f" with {escaped(shortened(values, 500))}" if values else ""
            )
            opener = await self._open_with(item, said) or ""
            item = replace(item, thread_ts=item.thread_ts or opener)
        base = self.answering.request(item, f"run {name}", message_ts=opener)
        requests = await self.workflows.requests(name, inputs, base)
        await self.answering.answer_all(requests, item, self.files.of(item))

    async def _typed_run(self, item: Incoming, command: TypedCommand) -> bool:
        reader = await self.places.reader(item.user_id)
        names = await self.workflows.names(reader)
        name = command.workflow.lower()
        slip = not command.rest and get_close_matches(name, names, 1)
        if not (command.sure or name in names or slip):
            return False
        await self.run_workflow(item, command.workflow, inputs_from(command.rest))
        return True

    # Learning

    async def _typed_learning(self, item: Incoming, command: TypedCommand) -> bool:
        if self.learning is None:
            return False
        if command.name == "why":
            await self.learning.why(item, command.rest)
        elif command.name == "learning":
            await self.learning.switch_or_show(item, command.rest)
        elif asked := await self.learning.question_in(item, command.rest):
            await self.learning.tell(item, asked)
        else:
            return False
        return True

    # /metrics

    async def metrics(self, item: Incoming, text: str) -> None:
        """Figures, seen by the person who asked."""
        await self._show_metrics(item, parse_metrics(text, item.direct))

    async def _typed_metrics(self, item: Incoming, command: TypedCommand) -> bool:
        try:
            asked = parse_metrics(command.rest, item.direct)
        except InputError:
            if command.sure:
                raise
            return False
        await self._show_metrics(item, asked)
        return True

    async def _show_metrics(self, item: Incoming, asked: MetricsRequest) -> None:
        asked = await self._identified(asked)
        person = await self.record.person(item.user_id)
        zone = _zone(str((person and person.settings.get("time_zone")) or ""))
        since = asked.since(datetime.now(zone))
        reader = await self.places.reader(item.user_id)
        if asked.scope == "channel":
            _require_member(reader, asked.who, await self.places.channel_type(asked.who))
        query, counts_only = _metrics_query(asked, reader, since)
        title = await self._metrics_title(asked)
        ours = asked.scope in ("me", "everyone")
        learned = await self.learning.metrics(since) if self.learning and ours else ()
        metrics = await self.record.metrics(query)
        goals = (await goal_scores(self.record, query)).sentence()
        metrics = replace(metrics, note=" ".join(filter(None, (goals, metrics.note))))
        text, blocks = metrics_card(metrics, title, counts_only, learned)
        await self.voice.tell(item, text, blocks)

    async def _identified(self, asked: MetricsRequest) -> MetricsRequest:
        """A name as typed becomes an id."""
        if asked.who[:1] not in ("@", "#"):
            return asked
        find = self.places.person_called if asked.who[0] == "@" else self.places.channel_called
        found = await find(asked.who[1:])
        if found is None:
            raise UnknownName(f"I know nobody and nothing called {asked.who}. {USAGE}")
        return replace(asked, who=found)

    async def _metrics_title(self, asked: MetricsRequest) -> str:
        match asked.scope:
            case "me":
                whose = "You"
            case "person":
                whose = await self.places.name(asked.who)
            case "channel":
                whose = f"#{await self.places.channel_name(asked.who)}"
            case "agent":
                whose = f"Agent {asked.who}"
            case _:
                whose = "Everyone"
        return f"{whose}, {asked.period}"


def _unknown_workflow(name: str, names: Sequence[str]) -> str:
    if not names:
        return f"There is no workflow “{name}”, nor any other yet. {SAVE_USAGE}"
    close = get_close_matches(name, names, 1)
    hint = f" Did you mean `run {close[0]}`?" if close else ""
    listed = ", ".join(f"`{entry}`" for entry in names[:20])
    return f"There is no workflow “{name}”.{hint} There are: {listed}."


def _metrics_query(asked: MetricsRequest, reader: Reader, since: float) -> tuple[RunQuery, bool]:
    """The query that shows only what `reader` may see, and whether only counts may be shown."""
    base = RunQuery(since=since, audiences=reader.audiences())
    match asked.scope:
        case "me":
            return replace(base, user_id=reader.user_id, audiences=None), False
        case "person" if asked.who != reader.user_id:
            return replace(base, user_id=asked.who, audiences=reader.audiences() & {PUBLIC}), True
        case "person":
            return replace(base, user_id=asked.who, audiences=None), False
        case "channel":
            return replace(base, channel_id=asked.who), False
        case "agent":
            return replace(base, agent=asked.who), False
        case _:
            return base, False


def _require_member(reader: Reader, channel_id: str, channel_type: str) -> None:
    """Raises NotAllowed where `channel_id` is private and `reader` is not in it."""
    if channel_type != "channel" and channel_id not in reader.channels:
        raise NotAllowed("Only members of a private channel see its figures: join it first.")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
