"""The learning loop: learners, patterns, proposals, trials."""
# ruff: noqa: PLC0415 (imports inside commands are measured: see virtuous6.py)

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from command_line.output import (
    Json,
    configured,
    log_to_standard_error,
    print_json,
    reported,
    say,
    table,
    waiting,
)

if TYPE_CHECKING:
    from database.learning import Finding, Proposal, ProposalState, Trial
    from database.store import Store
    from orchestrator.improvement_orchestrator import Improvement
    from orchestrator.kind_names import Learned
    from orchestrator.learning_cycle import CycleReport
    from orchestrator.policy import Mode

learn_app = typer.Typer(
    invoke_without_command=True, help="One cycle of the learners now; or switch learning."
)
patterns_app = typer.Typer(no_args_is_help=True, help="What learners found.")
proposals_app = typer.Typer(no_args_is_help=True, help="Proposed improvements, and deciding.")
trials_app = typer.Typer(no_args_is_help=True, help="Honest comparisons of proposals.")

Reason = Annotated[str, typer.Option(help="Why; shown with the decision.")]
_SHORT_ID = 8


@learn_app.callback()
def learn(
    context: typer.Context,
    learner: Annotated[
        str | None, typer.Option("--learner", metavar="NAME", help="Only this one.")
    ] = None,
    json: Json = False,
) -> None:
    """Let learners see what is new since they looked last, and say what they found."""
    if context.invoked_subcommand is not None:
        return
    with reported(json):
        from orchestrator.learning_admin import cycle_json, learn

        log_to_standard_error(logging.WARNING)
        with waiting("Learning ...") as shown:

            def progress(so_far: "CycleReport") -> None:
                shown(
                    f"{so_far.learner}: {so_far.runs:,} runs read, {len(so_far.findings)} found, "
                    f"{len(so_far.proposals)} proposed"
                )

            reports = asyncio.run(learn(configured(), context.obj.workspace, learner, progress))
        if json:
            cycles = [cycle_json(report) for report in reports]
            print_json(
                {
                    "learner": learner,
                    "runs": max((c["runs"] for c in cycles), default=0),
                    "findings": [found for c in cycles for found in c["findings"]],
                    "proposals": [made for c in cycles for made in c["proposals"]],
                    "cycles": cycles,
                }
            )
            return
        _show_cycles(reports)


def _show_cycles(reports: "Sequence[CycleReport]") -> None:
    from orchestrator.kind_names import plainly

    table(
        ("learner", "runs", "found", "proposed", "held", "seconds", "tokens"),
        [
            (r.learner, f"{r.runs:,}", str(len(r.findings)), str(len(r.proposals)),
             str(len(r.held)), f"{r.seconds:.1f}", f"{r.tokens:,}")
            for r in reports
        ],
    )  # fmt: skip
    for report in reports:
        if report.skipped:
            say(f"{report.learner}: {report.skipped}")
        if report.left_out:
            say(f"{report.learner}: left out {report.left_out} that it fails on; see the log.")
        for title in (
            *(f.title for f in report.findings),
            *(p.title for p in report.proposals),
        ):
            say(f"{report.learner}: {plainly(title)}")
        for held in report.held:
            say(f"{report.learner}: not taken up: {plainly(held.title)}. {held.reason}")


@learn_app.command("on")
def learn_on(context: typer.Context, json: Json = False) -> None:
    """Learn, and answer with what was learned."""
    _switch(context, "on", json)


@learn_app.command("off")
def learn_off(context: typer.Context, json: Json = False) -> None:
    """Answer as shipped, and learn nothing; within a minute, and people's own agents stay."""
    _switch(context, "off", json)


@learn_app.command("pause")
def learn_pause(
    context: typer.Context,
    agent: Annotated[str | None, typer.Argument(help="Only this agent's changes.")] = None,
    json: Json = False,
) -> None:
    """Nothing new is tried or promoted; what is live stays and is watched."""
    _pause(context, agent, "paused", json)


@learn_app.command("resume")
def learn_resume(
    context: typer.Context,
    agent: Annotated[str | None, typer.Argument(help="Only this agent's changes.")] = None,
    json: Json = False,
) -> None:
    """The reverse of pause; an agent's changes are asked about again."""
    _pause(context, agent, "ask", json)


def _pause(context: typer.Context, agent: str | None, mode: "Mode", json: bool) -> None:
    if agent is None:
        _switch(context, "paused" if mode == "paused" else "on", json)
        return
    with reported(json):

        async def work(improvement: "Improvement", _: "Store") -> None:
            await improvement.set_mode(agent, mode, _person(context))

        _with_improvement(context, work)
        if json:
            print_json({"agent": agent, "mode": mode})
        else:
            say(f"The mode of {agent} is {mode} now.")


def _switch(context: typer.Context, to: str, json: bool) -> None:
    with reported(json):

        async def work(improvement: "Improvement", _: "Store") -> Any:
            return await improvement.switch(to, _person(context))

        status = _with_improvement(context, work)
        if json:
            print_json(
                {"switch": status.switch, "set_by": status.set_by, "because": status.because}
            )
        else:
            say(f"Learning is {status.switch}. {status.because}".strip())


@patterns_app.command("list")
def patterns_list(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Problems, lessons and notes, too.")] = False,
    json: Json = False,
) -> None:
    """What repeats: what people verified first, then the strongest."""
    with reported(json):

        async def work(store: "Store") -> "list[Finding]":
            found = await store.findings(limit=1_000)
            shown = [f for f in found if every or f.kind == "pattern"]
            return await _named(sorted(shown, key=_weight, reverse=True), store, json)

        found = _with_store(context, work)
        if json:
            print_json({"patterns": [asdict(finding) for finding in found]})
            return
        table(
            ("id", "found", "kind", "strength", "state", "what"),
            [
                (f.finding_id[:_SHORT_ID], _when(f.created_at), f.kind, f.strength or "", f.state,
                 f.title)
                for f in found
            ],
        )  # fmt: skip


def _weight(finding: "Finding") -> tuple[bool, int]:
    strengths = ("weak", "moderate", "strong", "very strong")
    strength = strengths.index(finding.strength) if finding.strength else -1
    return finding.state == "verified", strength


@patterns_app.command("verify")
def patterns_verify(
    context: typer.Context,
    finding: Annotated[str, typer.Argument(metavar="ID")],
    dismiss: Annotated[bool, typer.Option("--dismiss", help="It is not so.")] = False,
    json: Json = False,
) -> None:
    """Say that a pattern is real."""
    with reported(json):

        async def work(improvement: "Improvement", store: "Store") -> "Finding":
            ids = [f.finding_id for f in await store.findings(limit=1_000)]
            judged = await improvement.judge_finding(
                _full(finding, ids), _person(context), not dismiss
            )
            return (await _named([judged], store, json))[0]

        judged = _with_improvement(context, work)
        if json:
            print_json(asdict(judged))
        else:
            say(f"{judged.title}: {judged.state}.")


@proposals_app.command("list")
def proposals_list(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    json: Json = False,
) -> None:
    """Every proposal, newest first."""
    with reported(json):
        from orchestrator.learning_admin import proposal_json

        states = _states(state)

        async def work(store: "Store") -> "list[Proposal]":
            return await _named(await store.proposals(states, 1_000), store, json)

        found = _with_store(context, work)
        if json:
            print_json({"proposals": [proposal_json(proposal) for proposal in found]})
            return
        table(
            ("id", "made", "by", "risk", "state", "what"),
            [
                (p.proposal_id[:_SHORT_ID], _when(p.created_at), p.learner, p.risk,
                 p.state.replace("_", " "), p.title)
                for p in found
            ],
        )  # fmt: skip


@proposals_app.command("show")
def proposals_show(
    context: typer.Context,
    proposal: Annotated[str, typer.Argument(metavar="ID")],
    json: Json = False,
) -> None:
    """What it would change, why, and what its trials say."""
    with reported(json):
        from database.errors import UnknownName
        from orchestrator.learning_admin import changes_json, proposal_json

        async def work(store: "Store") -> dict[str, Any]:
            every = [p.proposal_id for p in await store.proposals(limit=1_000)]
            found = await store.proposal(_full(proposal, every))
            if found is None:
                raise UnknownName(f"There is no proposal {proposal}. See `proposals list`.")
            trials = await store.trials_of(found.proposal_id)
            [found] = await _named([found], store, json)
            return {
                **proposal_json(found),
                "changes": await changes_json(store, found),
                "trials": [asdict(trial) for trial in trials],
            }

        found = _with_store(context, work)
        if json:
            print_json(found)
        else:
            _show(found)


@proposals_app.command("approve")
def proposals_approve(
    context: typer.Context,
    proposal: Annotated[str, typer.Argument(metavar="ID")],
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Let a proposal that waits go live. Where approvers are named, say who with --as USER."""
    _decide(context, proposal, True, reason, json)


@proposals_app.command("reject")
def proposals_reject(
    context: typer.Context,
    proposal: Annotated[str, typer.Argument(metavar="ID")],
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Decide against a proposal that is not live yet."""
    _decide(context, proposal, False, reason, json)


@proposals_app.command("rollback")
def proposals_rollback(
    context: typer.Context,
    proposal: Annotated[str, typer.Argument(metavar="ID")],
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Take back what a proposal changed; at once."""

    async def work(improvement: "Improvement", store: "Store") -> "Proposal":
        return await improvement.roll_back(await _id(store, proposal), _person(context), reason)

    _decided(context, work, json)


@trials_app.command("list")
def trials_list(
    context: typer.Context,
    running: Annotated[bool, typer.Option("--running", help="Only those that run.")] = False,
    json: Json = False,
) -> None:
    """Every trial, newest first, with what its last look said."""
    with reported(json):

        async def work(store: "Store") -> "list[Trial]":
            return await store.trials({"running"} if running else None, 1_000)

        found = _with_store(context, work)
        if json:
            print_json({"trials": [asdict(trial) for trial in found]})
            return
        table(
            ("id", "proposal", "agent", "method", "state", "requests", "effect", "says"),
            [
                (t.trial_id[:_SHORT_ID], t.proposal_id[:_SHORT_ID], t.agent, t.method, t.state,
                 f"{t.figures.get('requests', 0)} of {t.most}", _effect(t.figures), t.reason)
                for t in found
            ],
        )  # fmt: skip


def _decide(context: typer.Context, proposal: str, approve: bool, reason: str, json: bool) -> None:
    async def work(improvement: "Improvement", store: "Store") -> "Proposal":
        return await improvement.decide(
            await _id(store, proposal), _person(context), approve, reason
        )

    _decided(context, work, json)


def _decided(
    context: typer.Context,
    work: "Callable[[Improvement, Store], Awaitable[Proposal]]",
    json: bool,
) -> None:
    with reported(json):
        from orchestrator.kind_names import plainly
        from orchestrator.learning_admin import proposal_json

        moved = _with_improvement(context, work)
        if json:
            print_json(proposal_json(moved))
        else:
            say(f"{plainly(moved.title)}: {moved.state.replace('_', ' ')}.")


def _with_improvement(
    context: typer.Context, work: "Callable[[Improvement, Store], Awaitable[Any]]"
) -> Any:
    from orchestrator.learning_admin import loop_of

    log_to_standard_error(logging.WARNING)

    async def opened() -> Any:
        async with loop_of(configured(), context.obj.workspace) as (loop, store):
            return await work(loop.improvement, store)

    return asyncio.run(opened())


def _with_store(context: typer.Context, work: "Callable[[Store], Awaitable[Any]]") -> Any:
    from orchestrator.administration import opened

    async def reading() -> Any:
        async with opened(configured(), context.obj.workspace) as store:
            return await work(store)

    return asyncio.run(reading())


def _person(context: typer.Context) -> str:
    from orchestrator.policy import COMMAND_LINE

    return context.obj.acting or COMMAND_LINE


async def _id(store: "Store", given: str) -> str:
    return _full(given, [p.proposal_id for p in await store.proposals(limit=1_000)])


def _full(given: str, ids: list[str]) -> str:
    """The one id that begins so; what was given where there is not exactly one."""
    begins = [each for each in ids if each.startswith(given)] if len(given) >= 4 else []
    return begins[0] if len(begins) == 1 else given


def _states(state: str | None) -> "set[ProposalState] | None":
    from typing import get_args

    from database.errors import InputError
    from database.learning import ProposalState

    known: dict[str, ProposalState] = {name: name for name in get_args(ProposalState)}
    if state is None:
        return None
    if state not in known:
        raise InputError(f"There is no state {state}. There are: {', '.join(known)}.")
    return {known[state]}


def _show(found: dict[str, Any]) -> None:
    from slack_interface.learning_diff import diff_lines

    say(f"{found['title']}  ({found['state'].replace('_', ' ')}, risk {found['risk']})")
    for line in (found["why"], *found["risk_reasons"], found["reason"]):
        if line:
            say(line)
    for change in found["changes"]:
        say(f"\n{change['kind']} {change['name']}: {change['base'] or 'new'} -> "
            f"{change['version'] or 'retired'}")  # fmt: skip
        for line in diff_lines(change["before"], change["body"]):
            say(line)
    for trial in found["trials"]:
        say(f"\n{trial['method']} trial, {trial['state']}: {trial['reason']}")
        say(f"effect {_effect(trial['figures'])} over {trial['figures'].get('requests', 0)} "
            f"requests; it can see an effect of {trial['smallest_effect']:.0%}")  # fmt: skip


def _effect(figures: Any) -> str:
    effect, low, high = (figures.get(key) for key in ("effect", "low", "high"))
    if effect is None:
        return ""
    bounds = f" ({low:+.0%} to {high:+.0%})" if low is not None and high is not None else ""
    return f"{effect:+.0%}{bounds}"


async def _named(records: "list[Learned]", store: "Store", json: bool) -> "list[Learned]":
    """The same for people, who know no numbers of kinds of requests; as they are in JSON."""
    from orchestrator.kind_names import named

    return records if json else await named(records, store)


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
