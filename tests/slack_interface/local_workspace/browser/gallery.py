"""One example of every block the page draws, as an app would post it."""

from typing import Any

Block = dict[str, Any]


def plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": True}


def mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text}


def option(text: str, value: str) -> Block:
    return {"text": plain(text), "value": value}


def rich(*parts: Block) -> Block:
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": list(parts)}],
    }


MARKDOWN = """# Plan for the week

Two things, **both small**, one *urgent* and one ~~dropped~~:

1. Ship `v2` of the parser
   - with tests
   - and a note
2. Ask [the docs](https://example.com/docs) about limits

- [x] measured
- [ ] written up

> Measure first.
> Then cut.

| Arm | Runs | Mean |
|:----|-----:|:----:|
| old | 120 | 0.71 |
| new \\| trial | 118 | **0.78** |

```python
def f(x: int) -> int:
    return x < 3 and x * 2
```

<script>alert(1)</script> [bad](javascript:alert(2)) https://example.com/a_b_c."""

MRKDWN = (
    "*bold* _italic_ ~gone~ `code <b>` :tada: <https://example.com|a link> <@U0ADA> <#C0GENERAL> "
    "2*3*4 snake_case_name <!here> &lt;tag&gt;\n> quoted *words*\n```pre\n  kept```after"
)

TEXT_BLOCKS: list[Block] = [
    {"type": "header", "text": plain("Blocks of text")},
    {
        "type": "section",
        "text": mrkdwn(MRKDWN),
        "accessory": {"type": "button", "text": plain("Side"), "action_id": "side", "value": "s"},
    },
    {
        "type": "section",
        "fields": [mrkdwn("*Success*\n92%"), mrkdwn("*Speed*\n1.2 s"), plain("Plain *field*")],
    },
    {"type": "divider"},
    {"type": "markdown", "text": MARKDOWN},
    {"type": "context", "elements": [mrkdwn("from *three* runs"), plain("today")]},
    {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [
                    {"type": "text", "text": "Rich ", "style": {"bold": True}},
                    {"type": "text", "text": "text", "style": {"italic": True, "strike": True}},
                    {"type": "text", "text": " for "},
                    {"type": "user", "user_id": "U0GRACE"},
                    {"type": "text", "text": " in "},
                    {"type": "channel", "channel_id": "C0GENERAL"},
                    {"type": "text", "text": " see "},
                    {"type": "link", "url": "https://example.com", "text": "this"},
                    {"type": "emoji", "name": "rocket"},
                ],
            },
            {
                "type": "rich_text_list",
                "style": "ordered",
                "elements": [
                    {"type": "rich_text_section", "elements": [{"type": "text", "text": "first"}]},
                    {"type": "rich_text_section", "elements": [{"type": "text", "text": "second"}]},
                ],
            },
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": "a quote"}]},
            {
                "type": "rich_text_preformatted",
                "elements": [{"type": "text", "text": "x = 1\ny = 2"}],
            },
        ],
    },
    {
        "type": "image",
        "title": plain("A picture elsewhere"),
        "image_url": "https://example.com/cat.png",
        "alt_text": "a cat on a desk",
    },
]

MENUS: list[Block] = [
    option("Fast", "fast"),
    option("Careful", "careful"),
    option("Cheap", "cheap"),
]

ACTION_BLOCKS: list[Block] = [
    {
        "type": "actions",
        "block_id": "buttons",
        "elements": [
            {
                "type": "button",
                "text": plain("Approve"),
                "style": "primary",
                "action_id": "approve",
                "value": "p1",
            },
            {
                "type": "button",
                "text": plain("Reject"),
                "style": "danger",
                "action_id": "reject",
                "value": "p1",
                "confirm": {
                    "title": plain("Reject it?"),
                    "text": mrkdwn("This *cannot* be undone."),
                    "confirm": plain("Yes, reject"),
                    "deny": plain("Keep it"),
                    "style": "danger",
                },
            },
            {
                "type": "static_select",
                "action_id": "mode",
                "placeholder": plain("Pick a mode"),
                "options": MENUS,
            },
            {"type": "users_select", "action_id": "who", "placeholder": plain("Pick a person")},
            {
                "type": "overflow",
                "action_id": "more",
                "options": [option("Show", "show"), option("Hide", "hide")],
            },
        ],
    },
    {
        "type": "actions",
        "block_id": "pickers",
        "elements": [
            {"type": "datepicker", "action_id": "day", "initial_date": "2026-11-21"},
            {"type": "timepicker", "action_id": "hour"},
            {
                "type": "radio_buttons",
                "action_id": "radio",
                "options": MENUS,
                "initial_option": MENUS[0],
            },
            {"type": "checkboxes", "action_id": "boxes", "options": MENUS},
            {
                "type": "multi_static_select",
                "action_id": "many",
                "placeholder": plain("Pick several"),
                "options": MENUS,
            },
        ],
    },
    {
        "type": "context_actions",
        "block_id": "feedback",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "rate",
                "positive_button": {"text": plain("Good answer"), "value": "up"},
                "negative_button": {"text": plain("Bad answer"), "value": "down"},
            },
            {
                "type": "icon_button",
                "icon": "trash",
                "text": plain("Remove"),
                "action_id": "remove",
                "value": "r",
            },
        ],
    },
]


def task(task_id: str, title: str, status: str, **more: Any) -> Block:
    return {"type": "task_card", "task_id": task_id, "title": title, "status": status, **more}


AGENT_BLOCKS: list[Block] = [
    task(
        "t1",
        "Read the sheet",
        "in_progress",
        details=rich({"type": "text", "text": "220 rows so far"}),
        sources=[{"type": "url", "url": "https://example.com/sheet", "text": "sheet.csv"}],
    ),
    {
        "type": "plan",
        "title": "Compare two quarters",
        "tasks": [
            task(
                "p1",
                "Load numbers",
                "complete",
                output=rich({"type": "text", "text": "two tables"}),
            ),
            task("p2", "Compute the difference", "in_progress"),
            task("p3", "Write it up", "pending"),
            task("p4", "Send a fax", "error"),
        ],
    },
    {
        "type": "alert",
        "level": "warning",
        "text": mrkdwn("The weekly budget is *80%* spent."),
    },
    {
        "type": "card",
        "title": mrkdwn("Proposal 12"),
        "subtitle": plain("prompt of *analyst*"),
        "body": mrkdwn("Shorter answers, same facts."),
        "actions": [
            {"type": "button", "text": plain("Open"), "action_id": "open_card", "value": "12"}
        ],
    },
    {
        "type": "carousel",
        "elements": [
            {"type": "card", "title": mrkdwn(f"Card {n}"), "body": mrkdwn("One of several.")}
            for n in range(1, 5)
        ],
    },
    {
        "type": "container",
        "title": plain("Evidence"),
        "subtitle": plain("three runs"),
        "is_collapsible": True,
        "default_collapsed": True,
        "child_blocks": [{"type": "section", "text": mrkdwn("Hidden *until opened*")}],
    },
]

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri"]


def series(name: str, values: list[float]) -> Block:
    data = [{"label": day, "value": value} for day, value in zip(DAYS, values, strict=True)]
    return {"name": name, "data": data}


def chart(kind: str, title: str) -> Block:
    body: Block = {
        "type": kind,
        "series": [
            series("analyst", [12, 19.5, 3, 5, 22]),
            series("writer", [7, 11, 13, 2, 9]),
        ],
        "axis_config": {"categories": DAYS, "x_label": "Day", "y_label": "Runs"},
    }
    return {"type": "data_visualization", "title": title, "chart": body}


PIE: Block = {
    "type": "data_visualization",
    "title": "Runs by agent",
    "chart": {
        "type": "pie",
        "segments": [
            {"label": "analyst", "value": 45},
            {"label": "writer", "value": 28},
            {"label": "coder", "value": 27},
        ],
    },
}


def cell(value: object) -> Block:
    if isinstance(value, int | float):
        return {"type": "raw_number", "value": value, "text": f"{value:g}"}
    return {"type": "raw_text", "text": str(value)}


DATA_TABLE: Block = {
    "type": "data_table",
    "caption": "Runs by agent",
    "page_size": 3,
    "rows": [
        [cell("Agent"), cell("Runs")],
        *[[cell(f"agent {n}"), cell(n * 37 % 11)] for n in range(1, 8)],
    ],
}

TABLE: Block = {
    "type": "table",
    "rows": [
        [cell("Name"), cell("Share")],
        [cell("old"), cell(0.5)],
        [cell("new"), rich({"type": "text", "text": "half", "style": {"bold": True}})],
    ],
    "column_settings": [{"align": "left"}, {"align": "right"}],
}

UNKNOWN: Block = {"type": "hologram", "text": "?"}
