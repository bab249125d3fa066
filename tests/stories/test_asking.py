"""Asking, in all the places where people ask."""

from tests.model_server.server import answer, tool_call
from tests.people import ADA, BOT, GRACE, Json, eventually, find
from tests.stories.story import Story, asked, seen

LONG = "Once upon a time there was a very long answer. " * 60


async def test_a_question_in_a_direct_message_is_answered_and_recorded(story: Story) -> None:
    await story.told(answer("A *log* that is written first.", when=asked("write-ahead log")))

    reply = await story.ask("What is a write-ahead log?")

    assert reply["text"] == "A *log* that is written first."
    assert [block["text"] for block in find(reply["blocks"], "markdown")] == [reply["text"]]
    assert find(reply["blocks"], "feedback_buttons")
    [run] = await story.runs()
    assert (run.request, run.reply, run.error) == (
        "What is a write-ahead log?",
        "A *log* that is written first.",
        None,
    )
    assert (run.user_id, run.channel_id, run.audience) == (ADA, "D0ADA", "person:U0ADA")
    assert (run.thread_ts, run.reply_ts) == (reply["thread_ts"], reply["ts"])
    assert run.agent_version == story.house.pool.definitions[run.agent].version
    assert run.input_tokens
    assert run.output_tokens
    assert run.cost_usd is None, "nobody knows what this server's model costs"
    own = [step for step in run.steps if not step.arguments]  # beside what choosing the agent took
    assert [(step.kind, step.ok) for step in own] == [("model", True)]


async def test_a_mention_arrives_twice_and_is_answered_once(story: Story) -> None:
    await story.told(answer("At noon.", when=asked("lunch")))
    await story.post("faults", duplicate=1.0)

    reply = await story.mention("when is lunch?")

    deliveries = (await story.get("log?kind=delivery"))["log"]
    assert {"message", "app_mention"} <= {entry["name"] for entry in deliveries}
    assert {entry["transport"] for entry in deliveries} == {story.transport}
    assert len(deliveries) >= 4
    thread = await story.thread(reply["thread_ts"], "C0GENERAL")
    assert [message["text"] for message in thread] == ["At noon."]
    [run] = await story.runs()
    assert (run.request, run.audience) == ("when is lunch?", "public")
    assert len(await story.prompts()) == 1


async def test_a_follow_up_knows_what_was_said_before(story: Story) -> None:
    await story.told(
        answer("She is called Mia.", when=asked("What is she called")),
        answer("What a lovely cat!", when=asked("My cat is Mia")),
    )

    first = await story.mention("My cat is Mia")
    await story.say("What is she called?", GRACE, "general", thread=first["thread_ts"])
    replies = await story.replies(first["thread_ts"], "C0GENERAL", 2)

    assert replies[1]["text"] == "She is called Mia."
    said = [(turn["role"], turn["content"]) for turn in (await story.prompts())[-1]][-3:]
    assert said == [
        ("user", "My cat is Mia"),
        ("assistant", "What a lovely cat!"),
        ("user", "What is she called?"),
    ]
    one, two = await story.runs()
    assert one.thread_ts == two.thread_ts
    assert (one.user_id, two.user_id) == (ADA, GRACE)
    assert (await story.mention("What is she called?"))["text"] == "She is called Mia."
    alone = [turn["role"] for turn in (await story.prompts())[-1]]
    assert alone.count("user") - alone.count("assistant") == 1
    assert "Mia" not in seen((await story.prompts())[-1])


async def test_a_specialist_is_chosen_by_meaning_and_the_run_says_why(story: Story) -> None:
    await story.told(answer("`^[0-9]{5}$`", when=asked("postcode")))

    await story.ask("Write a regular expression that matches a German postcode")

    [run] = await story.runs()
    assert run.agent == "coder"
    assert run.route
    assert run.route["reason"] == "meaning"
    assert run.route["best"]["agent"] == "coder"
    assert run.route["best"]["score"] > run.route["second"]["score"]
    [prompt] = await story.prompts()
    assert story.house.pool.definitions["coder"].system_prompt in prompt[0]["content"]


async def test_a_person_can_ask_who_answered_and_why(story: Story) -> None:
    await story.told(answer("`^[0-9]{5}$`", when=asked("postcode")))
    reply = await story.ask("Write a regular expression that matches a German postcode")
    assert "Answered by coder" in seen(find(reply["blocks"], "context"))

    await story.say("Who answered?", thread=reply["thread_ts"])

    told = (await story.replies(reply["thread_ts"], count=2))[1]["text"]
    [run] = await story.runs()
    assert "*coder* answered" in told
    assert "fits" in told
    assert f"{run.input_tokens:,} tokens read" in told
    assert "price unknown" in told
    assert str(run.agent_version) in told


async def test_a_tool_is_called_and_shown_as_a_step(story: Story) -> None:
    await story.told(
        answer("That makes 102.", when=asked("850", hasToolResult=True)),
        tool_call("calculator", {"expression": "850 * 12 / 100"}, when=asked("850")),
    )

    reply = await story.ask("What is 12 percent of 850?")

    assert reply["text"] == "That makes 102."
    [task] = find(reply["blocks"], "task_card")
    assert (task["title"], task["status"]) == ("Calculating: 850 * 12 / 100", "complete")
    assert "= 102" in seen(task["details"])
    [run] = await story.runs()
    assert [(step.kind, step.name) for step in run.steps] == [
        ("model", "gpt-4.1"),
        ("tool", "calculator"),
        ("model", "gpt-4.1"),
    ]
    assert run.steps[1].arguments == {"expression": "850 * 12 / 100"}
    tokens = [step.input_tokens or 0 for step in run.steps]
    assert run.input_tokens == sum(tokens)
    result = (await story.prompts())[-1][-1]
    assert (result["role"], "= 102" in result["content"]) == ("tool", True)


async def test_the_assistant_asks_back_and_goes_on_with_the_answer(story: Story) -> None:
    await story.told(
        answer("Tickets to Rome it is.", when=asked("Rome")),
        tool_call("ask_person", {"question": "Where to?"}, when=asked("Plan our company trip")),
    )

    question = await story.ask("Plan our company trip")
    assert question["text"].strip() == "Where to?"
    await story.say("To Rome", thread=question["thread_ts"])
    replies = await story.replies(question["thread_ts"], count=2)

    assert replies[1]["text"] == "Tickets to Rome it is."
    said = [turn["content"] for turn in (await story.prompts())[-1]][-3:]
    assert said == ["Plan our company trip", "Where to?", "To Rome"]
    one, two = await story.runs()
    assert [step.name for step in one.steps] == ["gpt-4.1", "ask_person"]
    assert one.agent == two.agent


async def test_what_was_edited_is_remembered_as_edited_and_what_was_deleted_not(
    story: Story,
) -> None:
    await story.told(answer("I see.", when=asked("")))
    first = await story.mention("The code word is swordfish")
    thread = first["thread_ts"]
    gone = await story.say("It was chosen by Bob", GRACE, "general", thread=thread)
    await story.replies(thread, "C0GENERAL", 2)

    where = {"channel": "general", "user": ADA}
    await story.post("edit-message", ts=thread, text="@Virtuous6 The code word is tuna", **where)
    await story.post("delete-message", ts=gone, channel="general", user=GRACE)
    await story.idle()
    await story.say("And now?", ADA, "general", thread=thread)
    await story.replies(thread, "C0GENERAL", 3)

    remembered = seen((await story.prompts())[-1])
    assert "The code word is tuna" in remembered
    assert "swordfish" not in remembered
    assert "chosen by Bob" not in remembered


async def test_a_long_conversation_is_summarised_and_stays_known(story: Story) -> None:
    summary = {"systemMessage": "Shorten the conversation", "model": "gpt-4.1-mini"}
    await story.told(
        answer("Ada keeps bees and wants 40 hives.", when=summary),
        answer("I see. " + "Bees are wonderful. " * 60, when=asked("bees")),
        answer("40 hives.", when=asked("How many hives")),
    )
    ts = await story.say("I keep bees, and I want 40 hives")
    for count in range(1, 7):
        await story.replies(ts, count=count)
        await story.say(f"More about bees, part {count}", thread=ts)
    await story.replies(ts, count=7)

    async def summarised() -> bool:
        return await story.house.store.latest_summary("D0ADA", ts) is not None

    await eventually(summarised, "the thread is summarised")
    await story.say("How many hives did I want?", thread=ts)
    replies = await story.replies(ts, count=8)

    assert replies[7]["text"] == "40 hives."
    prompt = (await story.prompts())[-1]
    texts = [str(turn["content"]) for turn in prompt]
    assert any("Ada keeps bees and wants 40 hives." in text for text in texts)
    assert "I keep bees, and I want 40 hives" not in texts, "its words are in the summary now"
    assert sum(len(text) for text in texts) < 12_000


async def test_people_among_themselves_are_left_alone(story: Story) -> None:
    await story.told(answer("I should not have spoken.", when=asked("")))

    lunch = await story.say("Lunch anybody?", GRACE, "general")
    await story.say("Yes!", ADA, "general", thread=lunch)
    await story.idle()

    assert [message["text"] for message in await story.thread(lunch, "C0GENERAL")] == ["Yes!"]
    assert await story.runs() == []
    assert await story.prompts() == []


async def test_quick_messages_in_one_thread_are_answered_in_their_order(story: Story) -> None:
    slowly = {"streamingProfile": {"ttft": 200}}
    await story.told(
        *(answer(f"Number {n}.", when=asked(f"question {n}"), **slowly) for n in range(1, 5))
    )
    ts = await story.say("Here is question 1")

    for number in range(2, 5):
        await story.arrived()
        await story.say(f"Here is question {number}", thread=ts)
    replies = await story.replies(ts, count=4)

    assert [reply["text"] for reply in replies] == [f"Number {n}." for n in range(1, 5)]
    last = [turn["content"] for turn in (await story.prompts())[-1]][1:]
    assert last[-2:] == ["Number 3.", "Here is question 4"]


async def test_two_people_are_answered_at_the_same_time(story: Story) -> None:
    slowly = {"streamingProfile": {"ttft": 400}}
    await story.told(
        answer("Tea comes from China.", when=asked("tea"), **slowly),
        answer("Coffee comes from Ethiopia.", when=asked("coffee"), **slowly),
    )

    tea = await story.say("Where does tea come from?", ADA)
    coffee = await story.say("Where does coffee come from?", GRACE)
    [to_ada] = await story.replies(tea, "D0ADA")
    [to_grace] = await story.replies(coffee, "D0GRACE")

    assert to_ada["text"] == "Tea comes from China."
    assert to_grace["text"] == "Coffee comes from Ethiopia."
    one, two = await story.runs()
    assert one.started_at
    assert two.started_at
    assert two.started_at < one.started_at + (one.duration_ms or 0) / 1000, "one after the other"


async def test_an_answer_is_stopped_with_slacks_own_button(story: Story) -> None:
    await story.told(answer("Too late.", when=asked("hard"), streamingProfile={"ttft": 20000}))
    ts = await story.say("Think hard")

    async def working() -> bool:
        sessions = (await story.get("state"))["sessions"]
        return any(entry["status"] == "processing" for entry in sessions.values())

    await eventually(working, "Slack shows that the assistant works")
    await story.post("stop", channel="@assistant", user=ADA, thread_ts=ts)
    [reply] = await story.replies(ts)

    assert reply["text"] == "_Stopped before I had said anything._"
    assert not await working()
    [run] = await story.runs()
    assert (run.reply, run.error) == (None, "stopped by the person")


async def test_an_answer_is_stopped_by_the_word_and_what_was_said_is_kept(story: Story) -> None:
    await story.told(answer(LONG, when=asked("story"), latency=25))
    ts = await story.say("Tell me a story")

    async def speaking() -> bool:
        said: list[Json] = await story.thread(ts)
        return any("Once upon a time" in message["text"] for message in said)

    await eventually(speaking, "the answer begins")
    await story.say("stop", thread=ts)
    replies = await story.replies(ts)

    shown = "".join(reply["text"] for reply in replies if reply["user"] == BOT)
    assert shown.startswith("Once upon a time")
    assert "Stopped" in shown
    assert LONG.strip() not in shown
    [run] = await story.runs()
    assert run.error == "stopped by the person"
    assert run.reply
    assert shown.startswith(run.reply)
