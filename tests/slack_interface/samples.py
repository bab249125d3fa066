"""One payload of each kind that Slack may send us, as it sends them, and ways to spoil them.

Shapes are those of docs.slack.dev (reference/events, reference/interaction-payloads, slash
commands), written anew for the people of the local workspace.
"""

import copy
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from slack_interface.answer_cards import FEEDBACK
from tests.people import ADA, BOT, GRACE, TEAM, Json
from tests.slack_interface.learning_samples import proposal

APP, GENERAL, DIRECT = "A0VIRTUOUS", "C0GENERAL", "D0ADA"
NOW, TRIGGER, VIEW = "1700000000.000100", "1337.42.abc", "V0VIEW"
"""Replaced by fresh ones for each payload that is sent, as nothing is taken in twice."""
RUN = "b3f0e0c2-0000-5000-8000-000000000000"

Path = tuple[str | int, ...]


def _event(name: str, **fields: Any) -> Json:
    return {
        "token": "verification",
        "team_id": TEAM,
        "context_team_id": TEAM,
        "context_enterprise_id": None,
        "api_app_id": APP,
        "type": "event_callback",
        "event_id": f"Ev{NOW}",
        "event_time": 1700000000,
        "authorizations": [
            {"enterprise_id": None, "team_id": TEAM, "user_id": BOT, "is_bot": True,
             "is_enterprise_install": False}
        ],
        "is_ext_shared_channel": False,
        "event_context": "4-xyz",
        "event": {"type": name, "event_ts": NOW, **fields},
    }  # fmt: skip


def _message(subtype: str | None = None, **fields: Any) -> Json:
    said = {
        "channel": DIRECT, "channel_type": "im", "user": ADA, "text": "what is tea?", "ts": NOW,
        "team": TEAM, "client_msg_id": "c1",
        "blocks": [{"type": "rich_text", "block_id": "b", "elements": []}],
    }  # fmt: skip
    return _event("message", **said | ({"subtype": subtype} if subtype else {}) | fields)


def _command(command: str, text: str) -> Json:
    return {
        "token": "verification", "team_id": TEAM, "team_domain": "virtuous",
        "channel_id": GENERAL, "channel_name": "general", "user_id": ADA, "user_name": "ada",
        "command": command, "text": text, "api_app_id": APP, "is_enterprise_install": "false",
        "response_url": "https://hooks.slack.example/commands/T0/1/x", "trigger_id": TRIGGER,
    }  # fmt: skip


def _interaction(kind: str, **fields: Any) -> Json:
    return {
        "type": kind,
        "user": {"id": ADA, "username": "ada", "name": "ada", "team_id": TEAM},
        "api_app_id": APP,
        "token": "verification",
        "team": {"id": TEAM, "domain": "virtuous"},
        "enterprise": None,
        "is_enterprise_install": False,
        **fields,
    }


def _click(**action: Any) -> Json:
    return _interaction(
        "block_actions",
        container={"type": "message", "message_ts": NOW, "channel_id": GENERAL,
                   "thread_ts": "1699999999.000100", "is_ephemeral": False},
        trigger_id=TRIGGER,
        channel={"id": GENERAL, "name": "general"},
        message={"type": "message", "user": BOT, "ts": NOW, "bot_id": "B0", "text": "tea",
                 "thread_ts": "1699999999.000100"},
        state={"values": {}},
        response_url="https://hooks.slack.example/actions/T0/1/x",
        actions=[{"block_id": "b", "action_ts": NOW, **action}],
    )  # fmt: skip


def _home_click(action_id: str, chosen: str) -> Json:
    option = {"text": {"type": "plain_text", "text": chosen}, "value": chosen}
    click = _click(type="static_select", action_id=action_id, selected_option=option)
    for name in ("channel", "message", "response_url"):
        del click[name]
    click["container"] = {"type": "view", "view_id": VIEW}
    click["view"] = {"id": VIEW, "type": "home", "team_id": TEAM, "state": {"values": {}}}
    return click


def _view(kind: str, callback_id: str, about: Json, values: Json) -> Json:
    view = {
        "id": VIEW, "team_id": TEAM, "type": "modal", "callback_id": callback_id, "hash": "h",
        "private_metadata": json.dumps(about), "state": {"values": values}, "app_id": APP,
        "root_view_id": VIEW, "previous_view_id": None, "app_installed_team_id": TEAM,
    }  # fmt: skip
    return _interaction(kind, view=view, trigger_id=TRIGGER, response_urls=[])


def _typed(words: str) -> Json:
    return {"words": {"text": {"type": "plain_text_input", "value": words}}}


def _chosen(*values: str) -> Json:
    return {"chosen": {"type": "checkboxes", "selected_options": [{"value": v} for v in values]}}


def _menu(callback_id: str) -> Json:
    said = {"type": "message", "user": BOT, "ts": NOW, "text": "tea", "team": TEAM}
    return _interaction(
        "message_action", callback_id=callback_id, trigger_id=TRIGGER, message_ts=NOW, message=said,
        channel={"id": GENERAL, "name": "general"}, response_url="https://hooks.slack.example/app/x",
        action_ts=NOW,
    )  # fmt: skip


_SAID = {"type": "message", "user": ADA, "text": "what is tea?", "ts": "1699999999.000100"}
_EDITED = _SAID | {"text": "what is coffee?", "edited": {"user": ADA, "ts": NOW}}
_FILE = {
    "id": "F0FILE", "name": "notes.txt", "title": "notes", "mimetype": "text/plain", "size": 12,
    "url_private": "https://files.slack.com/f", "url_private_download": "https://files.slack.com/d",
}  # fmt: skip
_ON_MESSAGE = {"type": "message", "channel": GENERAL, "ts": "1699999999.000100"}
_IN_GENERAL: Json = {"channel": GENERAL, "channel_type": "channel"}
PROPOSAL = proposal().proposal_id
_PROPOSED: Json = {"subject": PROPOSAL, "channel": GENERAL, "thread_ts": "1699999999.000100"}
PLAN = "0d6f3f0e-0000-5000-8000-000000000000"
_PLANNED: Json = {
    "subject": PLAN, "number": "1", "channel": GENERAL, "thread_ts": "1699999999.000100"
}  # fmt: skip
_VALUES: Json = {
    "words": {"text": {"type": "plain_text_input", "value": "shorter"}},
    "value:0:system_prompt": {"text": {"type": "plain_text_input", "value": "Only code."}},
}
_WHERE: Json = {"run_id": RUN, "channel": GENERAL, "thread_ts": "1699999999.000100"}
_WHY: Json = {"reasons": _chosen("long"), "again": _chosen("yes"), **_typed("one line")}

SAMPLES: dict[str, Json] = {
    "message": _message(),
    "message in a thread": _message(thread_ts="1699999999.000100", parent_user_id=ADA),
    "message in a channel": _message(**_IN_GENERAL, text="lunch?"),
    "message in a group": _message(channel="C0LEADERSHIP", channel_type="group"),
    "message_changed": _message(
        "message_changed", message=_EDITED, previous_message=_SAID, hidden=True
    ),
    "message_deleted": _message("message_deleted", deleted_ts=_SAID["ts"], previous_message=_SAID),
    "message_replied": _message("message_replied", message=_SAID),
    "file_share": _message("file_share", files=[_FILE], upload=False),
    "thread_broadcast": _message("thread_broadcast", thread_ts=_SAID["ts"], root=_SAID),
    "me_message": _message("me_message"),
    "bot_message": _message(
        "bot_message", **_IN_GENERAL, bot_id="B0OTHER", user=None, text=f"<@{BOT}> hello"
    ),
    "channel_join": _message("channel_join", **_IN_GENERAL, inviter=GRACE),
    "channel_topic": _message("channel_topic", **_IN_GENERAL, topic="tea"),
    "app_mention": _event(
        "app_mention", channel=GENERAL, user=ADA, text=f"<@{BOT}> tea?", ts=NOW, team=TEAM
    ),
    "reaction_added": _event(
        "reaction_added", user=ADA, reaction="+1", item_user=BOT, item=_ON_MESSAGE
    ),
    "reaction_removed": _event(
        "reaction_removed", user=ADA, reaction="+1", item_user=BOT, item=_ON_MESSAGE
    ),
    "reaction on a file": _event(
        "reaction_added", user=ADA, reaction="+1", item={"type": "file", "file": "F0FILE"}
    ),
    "app_home_opened": _event("app_home_opened", user=ADA, channel=DIRECT, tab="home"),
    "messages tab opened": _event("app_home_opened", user=ADA, channel=DIRECT, tab="messages"),
    "app_context_changed": _event("app_context_changed", user=ADA, context={"entities": []}),
    "agent_session_stopped": _event(
        "agent_session_stopped", channel=DIRECT, thread_ts=NOW, user=ADA,
        streaming_message_ts=[NOW],
    ),
    "member_joined_channel": _event(
        "member_joined_channel", user=GRACE, channel=GENERAL, channel_type="C", team=TEAM
    ),
    "we joined": _event(
        "member_joined_channel", user=BOT, channel=GENERAL, channel_type="C", team=TEAM
    ),
    "an event of another kind": _event("team_join", user={"id": GRACE, "name": "grace"}),
    "/better": _command("/better", "shorter"),
    "/save-workflow": _command("/save-workflow", "tea"),
    "/metrics": _command("/metrics", "me 7d"),
    "an unknown command": _command("/dance", ""),
    "thumb up": _click(type="feedback_buttons", action_id=FEEDBACK, value=f"up:{RUN}"),
    "thumb down": _click(type="feedback_buttons", action_id=FEEDBACK, value=f"down:{RUN}"),
    "improve button": _click(
        type="button", action_id="improve_answer", value=json.dumps({"run_id": RUN})
    ),
    "workflow button": _click(
        type="button", action_id="run_workflow", value=json.dumps({"name": "tea"})
    ),
    "a link": _click(type="button", action_id="link", url="https://example.org"),
    "a button of an older version": _click(type="button", action_id="old", value="1"),
    "learning": _home_click("settings:learning", "no"),
    "my data in Home": _home_click("my_data", "show"),
    "export button": _click(type="button", action_id="export_my_data", value="all"),
    "forget button": _click(type="button", action_id="forget_me", value="ask"),
    **{
        f"{verb} of learning": _click(type="button", action_id=f"learn:{verb}", value=PROPOSAL)
        for verb in ("approve", "reject", "discuss", "why", "conclude", "back", "true", "untrue")
    },
    **{
        f"{verb} on the learning page": _home_click(f"learn:{verb}", PROPOSAL)
        for verb in ("page", "home", "on", "paused", "card")
    },
    "mode": _home_click("learn_mode:coder", "automatic"),
    **{
        f"{name} of learning": _view("view_submission", name, _PROPOSED, _VALUES)
        for name in ("learn_reject", "learn_back", "learn_conclude")
    },
    **{
        f"{verb} of a plan": _click(type="button", action_id=f"goal:{verb}", value=f"{PLAN}:1")
        for verb in (
            "start", "cancel", "yes", "no", "skip", "plainly", "change", "reply", "results"
        )
    },
    **{
        f"{name} of a plan": _view("view_submission", name, _PLANNED, _typed("Europe"))
        for name in ("goal_change", "goal_answer")
    },
    "forget": _view("view_submission", "forget_me", {}, _typed("forget me")),
    "setting": _home_click("settings:answer_length", "short"),
    "policy": _home_click("policy:speak", "mentions"),
    "why": _view("view_submission", "why_modal", _WHERE, _WHY),
    "improve": _view("view_submission", "improve_answer", _WHERE, _typed("shorter")),
    "save": _view("view_submission", "save_workflow", _WHERE, _typed("tea")),
    "run": _view(
        "view_submission", "run_workflow", {"name": "tea", "channel": GENERAL},
        {"input:topic": {"text": {"type": "plain_text_input", "value": "coffee"}}},
    ),
    "a form of an older version": _view("view_submission", "old", {}, {}),
    "view_closed": _view("view_closed", "improve_answer", _WHERE, {}),
    "improve in the menu": _menu("improve_answer"),
    "save in the menu": _menu("save_workflow"),
    "how in the menu": _menu("how_answered"),
    "a shortcut": _interaction("shortcut", callback_id="old", trigger_id=TRIGGER, action_ts=NOW),
    "block_suggestion": _interaction(
        "block_suggestion", action_id="a", block_id="b", value="te", trigger_id=TRIGGER
    ),
    "url_verification": {"token": "verification", "type": "url_verification", "challenge": "c"},
    "app_rate_limited": {
        "token": "verification", "type": "app_rate_limited", "team_id": TEAM, "api_app_id": APP,
        "minute_rate_limited": 1700000000,
    },
}  # fmt: skip
"""Not among them: app_uninstalled and tokens_revoked, after which there is nobody to send to."""

_number = itertools.count()


def fresh(payload: Any) -> Any:
    """The same, said at another moment."""
    number = next(_number)
    text = json.dumps(payload).replace(NOW, f"17{number:08d}.000100")
    return json.loads(text.replace(TRIGGER, f"1337.{number}.abc").replace(VIEW, f"V{number}"))


def as_sent(payload: Json) -> Json:
    """A payload of this moment; a command is a form, which holds texts only."""
    payload = fresh(payload)
    if "command" not in payload:
        return payload
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in payload.items()
    }


def click(user: str, channel: str, **action: Any) -> Json:
    """A button pressed at a message in `channel`."""
    payload = as_sent(SAMPLES["thumb up"])
    payload["user"]["id"] = user
    payload["channel"] = {"id": channel, "name": "x"}
    payload["container"]["channel_id"] = channel
    payload["actions"][0] |= action
    return payload


def form(name: str, user: str, about: Json) -> Json:
    """A modal that `user` submits, as if it had been opened with `about`."""
    payload = as_sent(SAMPLES[name])
    payload["user"]["id"] = user
    payload["view"]["private_metadata"] = json.dumps(about)
    return payload


_JUNK: Sequence[Any] = (
    None, "", " ", 0, -1, 1.5, 10**30, True, [], {}, [None], [[]], {"id": None}, {"": {}},
    "x" * 300, "ж" * 70_000, "\x00", "\u202e", "<!channel>", "%s{0}", "../../etc", "1e999",
    "T0OTHERTEAM", "C0OTHERCHANNEL", "D0GRACE", "U0STRANGER", GRACE, BOT, "B0OTHER", "tombstone",
    "message", "message_changed", "view_submission", "http://127.0.0.1:9/", "{}", "[1]", "{\"a\":",
    [{"id": 5}], {"channel": {"id": ["x"]}}, "im", "group", "directmessage",
)  # fmt: skip
"""What somebody might put where something else belongs."""

_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """The way to everything inside."""
    children: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, dict):
        children = iter(value.items())
    elif isinstance(value, list):
        children = iter(enumerate(value))
    for key, child in children:
        yield (*before, key)
        yield from paths(child, (*before, key))


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Json]:
    """A sample's name, and it with up to three places dropped, replaced or nested too deep."""
    name = draw(st.sampled_from(sorted(SAMPLES)))
    payload: Json = copy.deepcopy(SAMPLES[name])
    for _ in range(draw(st.integers(1, 3))):
        if ways := list(paths(payload)):
            _spoil(draw, payload, draw(st.sampled_from(ways)))
    return name, payload


def _spoil(draw: st.DrawFn, payload: Json, path: Path) -> None:
    holder: Any = payload
    for key in path[:-1]:
        holder = holder[key]
    match draw(st.sampled_from(("drop", "junk", "junk", "anything", "deeper", "listed"))):
        case "drop":
            del holder[path[-1]]
        case "junk":
            holder[path[-1]] = copy.deepcopy(draw(st.sampled_from(_JUNK)))
        case "anything":
            holder[path[-1]] = draw(_anything)
        case "deeper":
            holder[path[-1]] = {str(path[-1]): holder[path[-1]]}
        case _:
            holder[path[-1]] = [holder[path[-1]]]
