"""What counts as a word about a plan, and what is an ordinary message."""

import pytest

from slack_interface.goal_words import GoalWord, goal_word, yes_or_no


@pytest.mark.parametrize(
    "text",
    ["How is it going?", "how's it going", "status", "any progress?", "How far are you?",
     "how long will it take?", "are you done yet?", "any news", "What is the status?",
     "please show me the plan"],
)  # fmt: skip
def test_asking_how_it_goes(text: str) -> None:
    assert goal_word(text) == GoalWord("status")


@pytest.mark.parametrize(
    "text",
    ["stop", "Stop!", "stop it", "cancel", "Stop the plan", "cancel everything please",
     "forget it", "abort", "please stop", "don't do it"],
)  # fmt: skip
def test_stopping(text: str) -> None:
    assert goal_word(text) == GoalWord("cancel")


@pytest.mark.parametrize(
    "text",
    ["start", "Start it!", "yes", "yes, start", "go ahead", "ok go", "do it", "Let's go", "lgtm",
     "looks good to me"],
)  # fmt: skip
def test_starting(text: str) -> None:
    assert goal_word(text) == GoalWord("start")


@pytest.mark.parametrize(
    ("text", "numbers", "why"),
    [
        ("skip step 3", (3,), ""),
        ("Skip the third step please", (3,), ""),
        ("skip step three", (3,), ""),
        ("skip steps 2, 3 and 5", (2, 3, 5), ""),
        ("could you leave step 2 out?", (2,), ""),
        ("drop #4", (4,), ""),
        ("go on without step 2", (2,), ""),
        ("skip step 2 because we know it", (2,), "we know it"),
    ],
)
def test_skipping(text: str, numbers: tuple[int, ...], why: str) -> None:
    assert goal_word(text) == GoalWord("skip", numbers, why)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("use the cheaper model", "fast"),
        ("Use a faster model from here on", "fast"),
        ("switch to the small model", "fast"),
        ("use the better model please", "strong"),
        ("go on with the strongest model", "strong"),
    ],
)
def test_another_model(text: str, model: str) -> None:
    word = goal_word(text)
    assert word is not None
    assert (word.act, word.model) == ("model", model)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("add a step that checks our budget", "add a step that checks our budget"),
        ("Please add another step: call the vendor", "add another step: call the vendor"),
        ("change: compare only two", "compare only two"),
        ("change step 2 to include tax", "change step 2 to include tax"),
        ("step 3 should be in French", "step 3 should be in French"),
    ],
)
def test_changing(text: str, wish: str) -> None:
    assert goal_word(text) == GoalWord("change", words=wish)


def test_answers_with_their_step() -> None:
    assert goal_word("step 3: Sentry, and hurry.") == GoalWord("answer", (3,), "Sentry, and hurry.")
    assert goal_word("answer: the big one") == GoalWord("answer", words="the big one")


def test_results() -> None:
    assert goal_word("show me the results") == GoalWord("results")
    assert goal_word("what did step 2 find out?") == GoalWord("results", (2,))
    assert goal_word("show the results of step 2") == GoalWord("results", (2,))


@pytest.mark.parametrize(
    "text",
    ["", "how is the weather?", "what is the status of my order?", "stop the bleeding",
     "How do I skip a step in a dance?", "add a comment to the code", "start with a joke",
     "yes, and what about Bugsnag?", "drop the table", "use the better model of the two cars",
     "what does step 3 do exactly?", "remove 2 from the list", "how long is the Nile?",
     "show the results of the last election", "go to the second chapter", "x" * 3_000],
)  # fmt: skip
def test_ordinary_messages(text: str) -> None:
    assert goal_word(text) is None


@pytest.mark.parametrize(
    ("text", "agreed"),
    [("Yes", True), ("yes, go on", True), ("OK!", True), ("no", False), ("No, stop.", False),
     ("Sentry", None), ("yes but only Sentry", None)],
)  # fmt: skip
def test_yes_and_no(text: str, agreed: bool | None) -> None:
    assert yes_or_no(text) is agreed
