"""Keeping what worked as a workflow, and doing it again with something new."""

from tests.model_server.server import answer, tool_call
from tests.people import ADA, GRACE, find
from tests.stories.story import Story, asked, seen

ITALY = answer("Rome, Venice.", when=asked("Italy"))
SPAIN = answer("Madrid, Seville.", when=asked("Spain"))
SHORTER = answer("Just one, then.", when=asked("Only one please"))


async def saved(story: Story) -> str:
    """A thread of two answers, saved as `trip` by Ada in a public channel; its root."""
    await story.told(SHORTER, ITALY, SPAIN)
    first = await story.mention("Where to go for a week in Italy?")
    thread = str(first["thread_ts"])
    await story.say("Only one please", thread=thread, channel="general")
    await story.replies(thread, "C0GENERAL", 2)
    await story.say("save-workflow Trip", thread=thread, channel="general")
    return thread


async def test_a_thread_is_saved_and_run_again_with_new_inputs(story: Story) -> None:
    await saved(story)
    [card] = await story.whispers()
    assert "Saved as workflow trip" in card["text"]
    assert "run trip place=Italy" in card["text"]
    document = await story.house.store.document("runbook", "trip")
    assert document
    assert (document.number, document.origin, document.author) == (1, "person", ADA)
    assert document.body["inputs"] == [{"name": "place", "example": "Italy"}]

    again = await story.say("run trip place=Spain", GRACE)
    replies = await story.replies(again, "D0GRACE", 2)

    assert [reply["text"] for reply in replies] == ["Madrid, Seville.", "Just one, then."]
    *_, one, two = await story.runs()
    assert [one.request, two.request] == ["Where to go for a week in Spain?", "Only one please"]
    assert two.parent_run_id == one.run_id
    assert (one.user_id, one.audience) == (GRACE, "person:U0GRACE")
    last = [turn["content"] for turn in (await story.prompts())[-1]][-3:]
    assert last == [one.request, "Madrid, Seville.", "Only one please"]


async def test_a_workflow_runs_from_its_button(story: Story) -> None:
    thread = await saved(story)
    [card] = await story.whispers()
    [button] = find(card["blocks"], "button")

    await story.press(card, button, "C0GENERAL")
    view = await story.modal()
    [field] = find(view["blocks"], "plain_text_input")
    assert field["initial_value"] == "Italy"
    await story.submit(view, **{"input:place": "Spain"})
    await story.idle()

    *_, said, one, two = await story.thread(thread, "C0GENERAL")
    assert said["text"] == f"<@{ADA}> runs *trip* with place = Spain"
    assert [one["text"], two["text"]] == ["Madrid, Seville.", "Just one, then."]


async def test_a_slash_command_saves_the_last_answer(story: Story) -> None:
    await story.told(ITALY)
    await story.ask("Where to go for a week in Italy?")

    await story.command("/save-workflow", "trip")

    [card] = await story.whispers()
    assert "Say `run trip place=Italy`" in card["text"]
    home = seen(await story.home())
    assert "*trip*" in home


async def test_what_was_asked_better_is_one_step_with_its_wishes(story: Story) -> None:
    wish = {"userMessage": "answer my request again"}
    await story.told(
        answer("Madrid!", when=asked("Spain")), answer("Roma.", when=asked("in Italian")),
        answer("Rome.", when=wish), ITALY,
    )  # fmt: skip
    reply = await story.ask("Where to go for a week in Italy?")
    thread = reply["thread_ts"]
    await story.say("better: one place only", thread=thread)
    await story.replies(thread, count=2)
    await story.say("better: in Italian", thread=thread)
    await story.replies(thread, count=3)
    await story.say("save-workflow trip", thread=thread)
    await story.replies(thread, count=4)

    again = await story.say("run trip place=Spain")
    [answered] = await story.replies(again)

    assert answered["text"] == "Madrid!"
    request = str((await story.prompts())[-1][-1]["content"])
    assert request.startswith("Where to go for a week in Spain?")
    assert "one place only" in request
    assert "in Italian" in request


async def test_an_agent_runs_a_workflow_as_a_tool(story: Story) -> None:
    await saved(story)
    call = {"name": "trip", "inputs": {"place": "Spain"}}
    await story.told(
        answer("My tip: Madrid.", when=asked("go by my trip", hasToolResult=True)),
        tool_call("run_workflow", call, when=asked("go by my trip")), SHORTER, SPAIN,
    )  # fmt: skip

    reply = await story.ask("Please go by my trip workflow, for Spain")

    assert reply["text"] == "My tip: Madrid."
    [task] = find(reply["blocks"], "task_card")
    assert task["status"] == "complete"
    assert "Just one, then." in seen(task)


async def test_a_workflow_of_a_direct_message_is_that_persons_own(story: Story) -> None:
    await story.told(ITALY)
    await story.ask("Where to go for a week in Italy?")
    await story.command("/save-workflow", "trip")
    await story.whispers()

    [refusal] = await story.replies(await story.say("run trip x=1", GRACE), "D0GRACE")

    assert "There is no workflow “trip”" in refusal["text"]
    assert len(await story.runs()) == 1


async def test_what_was_private_in_a_request_must_be_given_anew(story: Story) -> None:
    await story.told(answer("Done.", when=asked("invitation")))
    await story.ask("Write an invitation to bob@example.org")
    await story.command("/save-workflow", "invite")
    await story.whispers()
    [document] = await story.house.store.documents("runbook")
    assert "bob@example.org" not in seen(document.body)

    [refusal] = await story.replies(await story.say("run invite"))
    assert "email" in refusal["text"]
    assert "not kept" in refusal["text"]
    [reply] = await story.replies(await story.say("run invite email=eve@example.org"))
    assert reply["text"] == "Done."
    assert "eve@example.org" in seen((await story.prompts())[-1])


async def test_bad_names_and_unknown_inputs_say_what_to_do(story: Story) -> None:
    await saved(story)
    await story.whispers()
    for said, says in (
        ("run trip country=Spain", "Its inputs are: place"),
        ("run trap place=Spain", "Did you mean `run trip`?"),
    ):
        [told] = await story.replies(await story.say(said))
        assert says in told["text"]
    await story.ask("Where to go for a week in Italy?")
    await story.command("/save-workflow", "a/b")
    await story.command("/save-workflow", "trip")
    refusals = seen((await story.whispers(count=3))[1:])
    assert "letters a-z" in refusals
    assert "is taken" in refusals
