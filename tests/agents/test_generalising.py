import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.generalising import filled, generalised


@pytest.mark.parametrize(
    ("text", "template", "inputs"),
    [
        ("Summarise sales for Acme Corp", "Summarise sales for {name}", {"name": "Acme Corp"}),
        ("Weather in Lisbon on 2026-11-20?", "Weather in {place} on {date}?",
         {"place": "Lisbon", "date": "2026-11-20"}),
        ("Add 15% to $1,200.50.", "Add {number} to {number_2}.",
         {"number": "15%", "number_2": "$1,200.50"}),
        ('Translate "good morning" to French', "Translate {quoted} to {name}", None),
        ("Read https://example.org/a?b=1, please", "Read {link}, please",
         {"link": "https://example.org/a?b=1"}),
        ("Move it from 15:00 to 4 pm", "Move it from {time} to {time_2}",
         {"time": "15:00", "time_2": "4 pm"}),
        ("Plan 3 November 2026 and Nov 5", "Plan {date} and {date_2}",
         {"date": "3 November 2026", "date_2": "Nov 5"}),
        ("Write to [email] about Q3 2026", "Write to {email} about {quarter}",
         {"email": "", "quarter": "Q3 2026"}),
        ("Greet <@U123> in <#C9|general>", "Greet {person} in {channel}",
         {"person": "<@U123>", "channel": "<#C9|general>"}),
        ("Explain what an API is", "Explain what an API is", {}),
        ("Use {name} for Bob", "Use {name} for {name_2}", {"name_2": "Bob"}),
    ],
)  # fmt: skip
def test_values_become_inputs(text: str, template: str, inputs: dict[str, str] | None) -> None:
    templates, found = generalised([text])
    if inputs is None:
        assert templates == ['Translate "{text}" to {name}']
        inputs = {"text": "good morning", "name": "French"}
        template = templates[0]
    assert templates == [template]
    assert {i.name: i.example for i in found} == inputs


def test_the_same_value_is_the_same_input_in_every_step() -> None:
    templates, inputs = generalised(["News about Acme", "Now write to Acme on 2026-01-02"])
    assert templates == ["News about {name}", "Now write to {name} on {date}"]
    assert [i.name for i in inputs] == ["name", "date"]


def test_an_unknown_placeholder_stays() -> None:
    assert filled("a {b} {c}", {"c": "d"}) == "a {b} d"


@given(st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_examples_put_back_give_the_original(texts: list[str]) -> None:
    templates, inputs = generalised(texts)
    values = {i.name: i.example for i in inputs if i.example}
    for text, template in zip(texts, templates, strict=True):
        if all(i.example for i in inputs):
            assert filled(template, values) == text


@pytest.mark.timeout(5)
def test_a_long_text_full_of_values_does_not_hold_everybody_up() -> None:
    templates, inputs = generalised(["$1, " * 15_000])  # 10 s when each was compared to all
    assert templates[0].startswith("{number}, {number}, ")
    assert len(inputs) == 1
