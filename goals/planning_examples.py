"""Plans that a model is shown before it makes one: a small model follows an example best."""

import json

_PARTS = "\n".join(
    (
        "Request: Find a caterer for our party with 60 guests for at most 1,800 euros, work out "
        "the cost per guest, and write the invitation.",
        "",
        "Parts:",
        "1. Find a caterer for our party with 60 guests for at most 1,800 euros",
        "2. work out the cost per guest",
        "3. write the invitation",
    )
)
_PARTS_PLAN = {
    "goal": "A caterer is found and 60 guests are invited",
    "steps": [
        {
            "stage": 1,
            "title": "List caterers",
            "task": "List three caterers for a party with 60 guests, each with its food and an "
            "estimated price.",
            "needs": [],
            "result": "Three caterers with food and price",
        },
        {
            "stage": 1,
            "title": "Choose a caterer",
            "task": "Compare the three caterers and choose the best one that costs at most 1,800 "
            "euros for 60 guests. Say why.",
            "needs": [1],
            "result": "One caterer and the reasons",
        },
        {
            "stage": 2,
            "title": "Cost per guest",
            "task": "Calculate the price of the chosen caterer divided by 60 guests, and what is "
            "left of 1,800 euros.",
            "needs": [2],
            "result": "Cost per guest and what is left",
        },
        {
            "stage": 3,
            "title": "Write the invitation",
            "task": "Write a short invitation to the party for the 60 guests. Name the food of the "
            "chosen caterer.",
            "needs": [2],
            "result": "The text of the invitation",
        },
    ],
}

_ORDER_PLAN = {
    "goal": _PARTS_PLAN["goal"],
    "steps": [
        {"needs": [], "result": "A caterer with food and price"},
        {"needs": [1], "result": "Cost per guest"},
        {"needs": [1], "result": "The text of the invitation"},
    ],
}

_STAGES = "Request: Make our open office less noisy for the 30 people in it."
_STAGES_PLAN = {
    "goal": "30 people work in an office that is less noisy",
    "stages": ["Know where the noise comes from", "Have measures to choose from", "Decide"],
    "steps": [
        {
            "stage": 1,
            "title": "Find the sources",
            "task": "List what makes noise in an open office with 30 people, the loudest first.",
            "needs": [],
            "result": "Sources of noise in order",
        },
        {
            "stage": 2,
            "title": "Collect measures",
            "task": "For each source of noise name one measure, with its effort and an estimated "
            "cost for 30 people.",
            "needs": [1],
            "result": "Measures with effort and cost",
        },
        {
            "stage": 2,
            "title": "Draft quiet rules",
            "task": "Draft five rules for phone calls and talks in an open office.",
            "needs": [],
            "result": "Five rules",
        },
        {
            "stage": 3,
            "title": "Recommend",
            "task": "Recommend which measures to begin with and how to bring in the five rules. "
            "Give reasons.",
            "needs": [2, 3],
            "result": "A recommendation with reasons",
        },
    ],
}

_PLAN = "\n".join(
    (
        "Request: Find a caterer for our party with 60 guests and write the invitation.",
        "",
        "Plan:",
        "1. Find caterers ({state}): Look up three caterers near us and their prices.{result}",
        "2. Choose a caterer (pending, after 1): Choose the best of the three caterers.",
        "3. Write the invitation (pending, after 2): Write the invitation and name the food.",
        "",
        "",
    )
)
_FAILED = _PLAN.format(state="failed", result="") + "Step 1 failed: it cannot search the web."
_AROUND = {
    "steps": [
        {
            "title": "Describe kinds of caterers",
            "task": "From general knowledge describe three kinds of caterers for 60 guests with a "
            "typical price for a guest. Say that these are estimates.",
            "needs": [],
        },
    ]
}
_WISHED = (
    _PLAN.format(state="done", result=" Result: Green Fork, Pasta Bar, Old Oven.")
    + "Wish: and some of us are vegetarians"
)
_MORE = {
    "steps": [
        {
            "title": "Vegetarian food",
            "task": "Say for each of the caterers Green Fork, Pasta Bar and Old Oven what "
            "vegetarians can eat there.",
            "needs": [1],
        },
    ]
}

FAILURE_EXAMPLE = (_FAILED, json.dumps(_AROUND))
WISH_EXAMPLE = (_WISHED, json.dumps(_MORE))
PARTS_EXAMPLE = (_PARTS, json.dumps(_PARTS_PLAN))
ORDER_EXAMPLE = (_PARTS, json.dumps(_ORDER_PLAN))
STAGES_EXAMPLE = (_STAGES, json.dumps(_STAGES_PLAN))
