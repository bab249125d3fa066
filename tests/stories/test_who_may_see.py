"""What was said in private stays there: every command, button and page, tried by somebody else."""

import json

from tests.model_server.server import answer, tool_call
from tests.people import ADA, ALAN, BOT, Json
from tests.stories.story import Story, asked, direct, seen

SECRET = "heliotrope"
"""The word that Alan, who is not in #leadership, must never see."""


async def keep_secrets(story: Story) -> list[Json]:
    """Ada says the word in her direct message and in a private channel, and saves workflows."""
    await story.told(
        tool_call("search_messages", {"words": "plan"}, when=asked("search for it")),
        answer("Nothing found.", when=asked("search for it", hasToolResult=True)),
        answer(f"The plan is {SECRET}.", when=asked("plan")),
        answer("Hello!", when=asked("")),
    )
    alone = await story.ask(f"Our plan is called {SECRET}")
    await story.command("/save-workflow", f"{SECRET}-mine")
    private = await story.mention(f"The plan is {SECRET}", channel="leadership")
    await story.say(f"save-workflow {SECRET}-ours", ADA, "leadership", private["thread_ts"])
    await story.idle()
    return [alone, private]


async def all_that_alan_sees(story: Story) -> str:
    """Every message, whisper, modal and Home that is his to read, but not what he wrote himself."""
    found: list[Json] = []
    for channel in ("C0GENERAL", "C0ENGINEERING", "C0IMPROVEMENTS", direct(ALAN)):
        for root in (await story.get(f"messages/{channel}"))["messages"]:
            found += [root, *await story.thread(root["ts"], channel)]
    said = [message for message in found if message.get("user") == BOT]
    whispers = (await story.get(f"ephemeral/{ALAN}"))["messages"]
    return json.dumps([said, whispers, await story.get(f"views/{ALAN}")])


async def test_nothing_that_somebody_else_tries_shows_what_was_said_in_private(
    story: Story,
) -> None:
    alone, private = await keep_secrets(story)
    await story.ask("Please search for it", ALAN)
    await story.mention("Please search for it", ALAN)
    for text in ("", "everyone 30d", "me", f"<@{ADA}> 30d", "@ada", "#leadership", "agent coder"):
        await story.command("/metrics", text, ALAN, "general")
    for command in ("/better", "/save-workflow"):
        await story.command(command, "again", ALAN, "general")
    for name in (f"{SECRET}-mine", f"{SECRET}-ours"):
        await story.say(f"run {name[:4]}", ALAN)
        await story.say("run x=1", ALAN)
    for words in ("who answered?", "help", "better: shorter", "save-workflow other"):
        await story.say(words, ALAN)
    await story.idle()
    home = seen(await story.home(ALAN))
    await story.idle()
    shown = await all_that_alan_sees(story)
    assert SECRET not in home
    assert SECRET not in shown
    assert "Only members of a private channel see its figures" in shown
    prompts = seen(await story.prompts())
    assert SECRET in prompts, "it was said to the model in Ada's own threads"
    his = [run for run in await story.runs() if run.user_id == ALAN]
    assert his
    assert SECRET not in "".join(f"{run.reply} {run.steps}" for run in his)
    assert any(step.name == "search_messages" for run in his for step in run.steps)
    assert {alone["thread_ts"], private["thread_ts"]}.isdisjoint(run.thread_ts for run in his)
