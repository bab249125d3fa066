"""Small Block Kit pieces as plain dicts, cut to Slack's limits (docs.slack.dev, block-kit)."""

from collections.abc import Sequence

from slack_interface.incoming import Json

SECTION_CHARS = 3000
FIELD_CHARS = 2000
HEADER_CHARS = 150
BUTTON_CHARS = 75
LABEL_CHARS = 20


def shortened(text: str, most: int) -> str:
    """At most `most` characters, with an ellipsis where something was cut."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def escaped(text: str) -> str:
    """A person's own words inside mrkdwn, so that they cannot mention or link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _filled(text: str, most: int) -> str:
    """Slack refuses a text of nothing."""
    return shortened(text, most) if text.strip() else "–"


def plain(text: str, most: int = SECTION_CHARS) -> Json:
    """A plain_text object."""
    return {"type": "plain_text", "text": _filled(text, most), "emoji": True}


def header(text: str) -> Json:
    """A heading."""
    return {"type": "header", "text": plain(text, HEADER_CHARS)}


def section(mrkdwn: str, accessory: Json | None = None) -> Json:
    """A paragraph of mrkdwn with an optional element at its side."""
    block: Json = {
        "type": "section",
        "text": {"type": "mrkdwn", "text": _filled(mrkdwn, SECTION_CHARS)},
    }
    return block | ({"accessory": accessory} if accessory else {})


def fields(texts: Sequence[str]) -> Json:
    """Up to ten short paragraphs in two columns."""
    shown = [{"type": "mrkdwn", "text": _filled(text, FIELD_CHARS)} for text in texts[:10]]
    return {"type": "section", "fields": shown}


def context(mrkdwn: str) -> Json:
    """A line in small print."""
    return {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": _filled(mrkdwn, SECTION_CHARS)}],
    }


def divider() -> Json:
    """A line between parts."""
    return {"type": "divider"}


def button(
    text: str,
    action_id: str,
    value: str,
    *,
    primary: bool = False,
    danger: bool = False,
    sure: str = "",
) -> Json:
    """A button; `value` comes back with the click. With `sure` Slack asks that first."""
    element: Json = {
        "type": "button",
        "text": plain(text, BUTTON_CHARS),
        "action_id": action_id,
        "value": value,
    }
    if sure:
        element["confirm"] = {
            "title": plain("Are you sure?", 100),
            "text": plain(sure, 300),
            "confirm": plain(text, 30),
            "deny": plain("Not yet", 30),
        }
    style = "primary" if primary else "danger" if danger else ""
    return element | ({"style": style} if style else {})


def actions(*elements: Json) -> Json:
    """A row of elements."""
    return {"type": "actions", "elements": list(elements)}


def option(text: str, value: str) -> Json:
    """One choice of a select or a list of checkboxes."""
    return {"text": plain(text, 75), "value": value}


def select(action_id: str, options: Sequence[Json], chosen: str | None, placeholder: str) -> Json:
    """A menu; `chosen` is the value that is selected now."""
    element: Json = {
        "type": "static_select",
        "action_id": action_id,
        "placeholder": plain(placeholder, 150),
        "options": list(options),
    }
    initial = next((entry for entry in options if entry["value"] == chosen), None)
    return element | ({"initial_option": initial} if initial else {})


def text_input(
    block_id: str,
    label: str,
    *,
    initial: str = "",
    multiline: bool = False,
    optional: bool = False,
    most: int = 2000,
) -> Json:
    """An input for words; its value is found at values[block_id]['text']."""
    element: Json = {
        "type": "plain_text_input",
        "action_id": "text",
        "multiline": multiline,
        "max_length": most,
    }
    if initial:
        element["initial_value"] = initial[:most]
    return {
        "type": "input",
        "block_id": block_id,
        "optional": optional,
        "label": plain(label, 2000),
        "element": element,
    }


def checkboxes(block_id: str, label: str, options: Sequence[Json]) -> Json:
    """Optional choices; the chosen are found at values[block_id]['chosen']."""
    return {
        "type": "input",
        "block_id": block_id,
        "optional": True,
        "label": plain(label, 2000),
        "element": {"type": "checkboxes", "action_id": "chosen", "options": list(options)},
    }


def modal(callback_id: str, title: str, submit: str, blocks: list[Json], about: str) -> Json:
    """A modal; `about` comes back as private_metadata (at most 3,000 characters)."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain(title, 24),
        "submit": plain(submit, 24),
        "close": plain("Cancel", 24),
        "private_metadata": about,
        "blocks": blocks,
    }


def notice_modal(title: str, text: str) -> Json:
    """A modal that only says something."""
    return {
        "type": "modal",
        "title": plain(title, 24),
        "close": plain("Close", 24),
        "blocks": [section(escaped(text))],
    }


def number(value: float | None, text: str) -> Json:
    """A table cell that is aligned and sorted as a number; a dash where there is none."""
    return raw_text("–") if value is None else {"type": "raw_number", "value": value, "text": text}


def raw_text(text: str) -> Json:
    """A table cell of words."""
    return {"type": "raw_text", "text": text or "–"}


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[Json]], *, page: int = 10
) -> Json:
    """A native data_table (at most 100 rows)."""
    return {
        "type": "data_table",
        "caption": shortened(caption, 255),
        "rows": [[raw_text(name) for name in head], *(list(row) for row in rows[:100])],
        "page_size": page,
    }


def bars(
    title: str, categories: Sequence[str], series: Sequence[tuple[str, Sequence[float]]]
) -> Json:
    """A native bar chart: up to 20 categories and 6 series."""
    labels = _distinct([shortened(label, LABEL_CHARS) for label in categories[:20]])
    return {
        "type": "data_visualization",
        "title": shortened(title, 50),
        "chart": {
            "type": "bar",
            "axis_config": {"categories": labels},
            "series": [
                {
                    "name": shortened(name, LABEL_CHARS),
                    "data": [
                        {"label": label, "value": value}
                        for label, value in zip(labels, values, strict=False)
                    ],
                }
                for name, values in series[:6]
            ],
        },
    }


def _distinct(labels: list[str]) -> list[str]:
    """Names that were cut alike get a number, as a category may appear once."""
    seen: dict[str, int] = {}
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        number = f" {seen[label]}" if seen[label] > 1 else ""
        result.append(label[: LABEL_CHARS - len(number)] + number)
    return result
