"""The forms of learning: why something is rejected or taken back, what a discussion came to."""

from collections.abc import Sequence

from database.learning import Proposal
from slack_interface.blocks import actions, button, modal, section, text_input
from slack_interface.incoming import Card, Json
from slack_interface.learning_cards import LEARN
from slack_interface.learning_edits import Value
from slack_interface.learning_words import said

REJECT, BACK, CONCLUDE = "learn_reject", "learn_back", "learn_conclude"
"""Callback ids of the forms."""


def reject_form(private_metadata: str) -> Json:
    """Asks why; the reason is what the learner learns from."""
    why = text_input("words", "Why not? (I learn from it)", multiline=True, optional=True)
    return modal(REJECT, "Reject", "Reject", [why], private_metadata)


def back_form(private_metadata: str) -> Json:
    """Asks why a change is taken back."""
    words = section("The former version answers again at once. Nothing else is lost.")
    why = text_input("words", "What is wrong with it?", multiline=True, optional=True)
    return modal(BACK, "Take it back", "Take it back", [words, why], private_metadata)


def conclude_form(proposal: Proposal, values: Sequence[Value], private_metadata: str) -> Json:
    """Asks for the conclusion: why, and the values as they should be."""
    blocks = [
        section(f"*{said(proposal.title, 300)}*\nYour values become a new suggestion."),
        text_input("words", "What did you come to?", multiline=True),
        *(
            text_input(
                value.block_id, value.label, initial=value.text, multiline=True, optional=True,
                most=3000,
            )
            for value in values
        ),
    ]  # fmt: skip
    return modal(CONCLUDE, "The conclusion", "Suggest it", blocks, private_metadata)


def discussion(proposal: Proposal, user_id: str, told: bool) -> Card:
    """What opens a discussion in the thread of a card."""
    title = f" “{said(proposal.title, 200)}”" if told else ""
    text = (
        f"<@{user_id}> would like to discuss{title}. Say here what you think; it waits as long as "
        "you need. When you have come to something, press the button, or say `conclude: ...` with "
        "the line that the instructions should have: that becomes a new suggestion, which is tried "
        "like any other and takes the place of this one."
    )
    conclude = button("Write the conclusion", f"{LEARN}:conclude", proposal.proposal_id)
    return text, [section(text), actions(conclude)]
