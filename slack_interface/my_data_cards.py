"""What a person sees of what is kept about them, and the question before they are forgotten."""

import time
from collections.abc import Mapping
from typing import Any

from database.records import LEARNING, ForgetReport
from orchestrator.own_data import OwnSummary
from slack_interface.blocks import (
    actions,
    button,
    context,
    escaped,
    modal,
    section,
    text_input,
)
from slack_interface.cards import LENGTHS
from slack_interface.incoming import Json

EXPORT, FORGET = "export_my_data", "forget_me"
FORGET_WORDS = "forget me"
"""What somebody types to be sure."""

NOTHING_KEPT = "I keep nothing about you."
WHAT_FORGETTING_DOES = (
    "*Gone for good:* the words of your questions and of my answers to you, what I remember of "
    "your messages and of the threads you spoke in, your feedback's words, your settings (also "
    "whether I learn from you), workflows that you saved, specialists made for you alone, and what "
    "is being worked on for you right now.\n"
    "*What stays:* numbers without you in them (how many answers, how long they took, what they "
    "cost), and specialists and decisions that you made for everybody, without your id.\n"
    "*Not mine to delete:* the messages in Slack itself, copies that somebody made of the "
    "database, and what a model's provider keeps. If you talk to me again, I begin anew."
)

_KINDS: Mapping[str, tuple[str, str]] = {
    "run": ("answer", "answers"),
    "message": ("message", "messages"),
    "summary": ("summary of a thread you spoke in", "summaries of threads you spoke in"),
    "feedback": ("piece of feedback", "pieces of feedback"),
    "document": ("workflow or specialist", "versions of workflows and specialists"),
    "policy": ("decision about me", "decisions about me"),
    "exam_question": ("question whose answer you let me know", "questions whose answers you gave"),
    "proposal": ("proposal that you made or decided", "proposals that you made or decided"),
    "finding": ("finding that you judged", "findings that you judged"),
}
_TABLES: Mapping[str, str] = {
    "runs": "run", "messages": "message", "summaries": "summary", "feedback": "feedback",
    "documents": "document", "policy": "policy", "exam_questions": "exam_question",
}  # fmt: skip


def known_card(known: OwnSummary) -> tuple[str, list[Json]]:
    """What is kept, in numbers and words, with the two buttons; the same in plain text."""
    lines = [_how_much(known), *_settings(known.settings), _where(known)]
    text = "\n".join(lines)
    if not known.counts:
        return text, [section(escaped(text))]
    return text, [
        section("*What I know about you*\n" + escaped(text)),
        actions(button("Export", EXPORT, "all"), button("Forget me", FORGET, "ask")),
        context(
            "Export gives you all of it as files, here between the two of us. Forget me asks once "
            "more before anything is deleted."
        ),
    ]


def forget_modal() -> Json:
    """Says what goes and what stays, and asks for the words."""
    sure = text_input("words", f"Type {FORGET_WORDS} if you are sure")
    return modal(FORGET, "Forget me", "Forget me", [section(WHAT_FORGETTING_DOES), sure], "")


def forgotten_text(report: ForgetReport) -> str:
    """What was deleted, for the person."""
    found = [_count(kind, report.rows.get(table, 0)) for table, kind in _TABLES.items()]
    if report.rows.get("people"):
        found.append("your name and settings")
    if under_way := report.rows.get("under way", 0):
        found.append(f"{under_way} of what was under way")
    gone = ", ".join(filter(None, found))
    if not gone:
        return f"{NOTHING_KEPT} There was nothing to delete."
    return (
        f"You are forgotten. Deleted or emptied: {gone}. Only numbers without you are left. This "
        "conversation stays in Slack until you delete it there."
    )


def _how_much(known: OwnSummary) -> str:
    found = ", ".join(filter(None, (_count(kind, known.counts.get(kind, 0)) for kind in _KINDS)))
    if not found:
        return "Your name and settings, nothing else." if known.counts else NOTHING_KEPT
    if known.since is None:
        return f"{found}."
    return f"Since {time.strftime('%Y-%m-%d', time.gmtime(known.since))}: {found}."


def _count(kind: str, number: int) -> str:
    one, many = _KINDS[kind]
    return f"{number} {one if number == 1 else many}" if number else ""


def _settings(settings: Mapping[str, Any]) -> list[str]:
    length = LENGTHS.get(str(settings.get("answer_length") or "normal"), "")
    zone = settings.get("time_zone") or "UTC"
    learning = "I do not learn" if settings.get(LEARNING) == "no" else "I learn"
    return [f"Settings: {length.lower()}, time zone {zone}. {learning} from what you ask."]


def _where(known: OwnSummary) -> str:
    where = "on the machine that I run on"
    if known.at_supabase:
        where += ", and in the Supabase database of whoever runs me"
    return (
        f"Kept {where}. What was said is deleted after {known.kept_days} days; numbers, settings, "
        "workflows and specialists stay until you say otherwise."
    )
