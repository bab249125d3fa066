"""What approvers see in App Home: the switches, each with what it is now."""

from collections.abc import Mapping, Sequence

from slack_interface.administration import POLICY_USAGE, Decided
from slack_interface.blocks import context, divider, escaped, header, option, section, select
from slack_interface.incoming import Json

POLICY = "policy"
"""Action ids are `policy:KEY`."""

SPEAKING_OPTIONS: Mapping[str, str] = {
    "mentions": "Mentions only",
    "threads": "Mentions and my threads",
    "everything": "Every message",
}
ALLOWING: Mapping[str, str] = {
    "allow_guests": "Answer guests of this workspace",
    "allow_external": "Answer in channels shared with other organisations",
    "allow_bots": "Answer other bots that mention me",
}
SWITCH: Mapping[str, str] = {"no": "No", "yes": "Yes"}
CHOICES: Mapping[str, Mapping[str, str]] = {
    "speak": SPEAKING_OPTIONS, **dict.fromkeys(ALLOWING, SWITCH)
}  # fmt: skip
CHANNELS_SHOWN = 15


def admin_blocks(settings: Sequence[Decided], channels: Mapping[str, str]) -> list[Json]:
    """The section for approvers; `channels` are those the assistant is in, id to name."""
    now = {setting.key: setting.value for setting in settings}
    everywhere = now["speak"]
    shown = list(channels.items())[:CHANNELS_SHOWN]
    return [
        divider(),
        header("For admins"),
        _choice("When I answer in channels", "speak", everywhere),
        *(
            _choice(f"… in #{escaped(name)}", f"speak.{of}", now.get(f"speak.{of}", everywhere))
            for of, name in shown
        ),
        *(_choice(text, key, now[key]) for key, text in ALLOWING.items()),
        context(f"Limits and everything else: {POLICY_USAGE}"),
    ]


def _choice(text: str, key: str, value: str) -> Json:
    labels = CHOICES[key.partition(".")[0]]
    options = [option(label, name) for name, label in labels.items()]
    return section(text, select(f"{POLICY}:{key}", options, value, "Choose"))
