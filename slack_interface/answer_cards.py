"""What stands below an answer, and how it came about: pure functions from a Run to Block Kit."""

from collections.abc import Mapping

from database.records import Run, Step
from orchestrator.routing import route_in_words
from slack_interface.blocks import context, escaped, section
from slack_interface.incoming import Json

FEEDBACK = "answer_feedback"
HOW_ANSWERED = "how_answered"


def closing_blocks(run: Run) -> list[Json]:
    """Who answered, in small print, and two thumbs; nothing where nothing was said."""
    if not run.reply:
        return []
    return [context(f"Answered by {escaped(run.agent)}{_took(run)}"), *feedback_buttons(run.run_id)]


def feedback_buttons(run_id: str) -> list[Json]:
    """The two thumbs below an answer; the value says which and for which run."""
    return [
        {
            "type": "context_actions",
            "elements": [
                {
                    "type": "feedback_buttons",
                    "action_id": FEEDBACK,
                    "positive_button": {
                        "text": {"type": "plain_text", "text": "Good answer"},
                        "accessibility_label": "This answer was good",
                        "value": f"up:{run_id}",
                    },
                    "negative_button": {
                        "text": {"type": "plain_text", "text": "Bad answer"},
                        "accessibility_label": "This answer was bad",
                        "value": f"down:{run_id}",
                    },
                }
            ],
        }
    ]


def how_card(run: Run) -> tuple[str, list[Json]]:
    """How an answer came about, in words and as a block: names and numbers, no text of anybody."""
    lines = [
        f"*{escaped(run.agent)}* answered{_took(run)}. {_why(run.route or {})}".rstrip(),
        _model(run),
        *(_tool(step) for step in run.steps if step.kind == "tool"),
    ]
    if run.agent_version:
        lines.append(f"Version `{run.agent_version}` of this agent.")
    text = "\n".join(line for line in lines if line)
    return text, [section(text)]


def _why(route: Mapping[str, object]) -> str:
    if route.get("goal"):
        return "Several agents worked on it: the plan in this thread says who did what."
    tried = route.get("tried")
    if isinstance(tried, list) and len(tried) > 1:
        return f"{escaped(', '.join(str(name) for name in tried[:-1]))} could not answer."
    return escaped(route_in_words(route))


def _model(run: Run) -> str:
    if run.model is None:
        return ""
    parts = [f"Model {escaped(run.model)}"]
    if run.input_tokens is not None and run.output_tokens is not None:
        parts.append(f"{run.input_tokens:,} tokens read, {run.output_tokens:,} written")
    parts.append("price unknown" if run.cost_usd is None else f"${run.cost_usd:.4f}")
    if run.first_token_ms is not None:
        parts.append(f"first words after {run.first_token_ms / 1000:.1f} s")
    return ", ".join(parts) + "."


def _tool(step: Step) -> str:
    took = "" if step.duration_ms is None else f", {step.duration_ms / 1000:.1f} s"
    return f"Tool `{escaped(step.name)}`: {'failed' if step.ok is False else 'done'}{took}."


def _took(run: Run) -> str:
    return "" if run.duration_ms is None else f" in {run.duration_ms / 1000:.1f} s"
