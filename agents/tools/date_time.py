"""Dates and times in the person's zone: now, weekdays, differences, adding days."""

import re
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, Field

from agents.ports import ToolContext
from agents.tools.base import Tool, ToolFailed, checked, schema_of

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NEAR = {"": 0, "now": 0, "today": 0, "tomorrow": 1, "yesterday": -1}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_ISO = re.compile(r"(\d{4}-\d{1,2}-\d{1,2})(?:[T ].*)?")


class Moment(BaseModel):
    """What to find out. There is no choice of operation: small models always take the first."""

    date: str = Field(
        default="today", description="the date asked about: YYYY-MM-DD, today or tomorrow"
    )
    until: str = Field(
        default="", description="a second date, to count the days from the first; else empty"
    )
    days: int = Field(
        default=0,
        description="days to add to the date, 7 for each week, negative = before; else 0",
    )
    business_days: int = Field(default=0, description="the same in business days; else 0")
    clock: str = Field(default="", description="a time HH:MM that minutes are added to; else empty")
    minutes: int = Field(
        default=0, description="minutes to add to that time, 60 for each hour; else 0"
    )
    zone: str = Field(
        default="", description="time zone of another place, as Continent/City; else empty"
    )


def business_days_between(first: date, last: date) -> int:
    """Mondays to Fridays after `first` up to and including `last`; negative backwards."""
    if last < first:
        return -_business_days(last - timedelta(days=1), first - timedelta(days=1))
    return _business_days(first, last)


def _business_days(after: date, up_to: date) -> int:
    weeks, rest = divmod((up_to - after).days, 7)
    extra = sum((after.weekday() + offset) % 7 < 5 for offset in range(1, rest + 1))
    return weeks * 5 + extra


def add_business_days(start: date, days: int) -> date:
    """The date `days` Mondays to Fridays after `start`, holidays not known. May OverflowError."""
    step = 1 if days >= 0 else -1
    weeks, rest = divmod(abs(days), 5)
    moved = start
    if rest == 0 and weeks:
        weeks, rest = weeks - 1, 5
    moved += timedelta(days=7 * weeks * step)
    while rest:
        moved += timedelta(days=step)
        rest -= moved.weekday() < 5
    return moved


def _read(text: str, today: date) -> date:
    word = text.strip().lower().removeprefix("next ").removeprefix("this ")
    if word in _NEAR:
        return today + timedelta(days=_NEAR[word])
    if word in _WEEKDAYS:
        ahead = (_WEEKDAYS.index(word) - today.weekday()) % 7
        return today + timedelta(days=ahead or 7)
    if matched := _ISO.fullmatch(text.strip()):
        try:
            year, month, day = (int(part) for part in matched[1].split("-"))
            return date(year, month, day)
        except ValueError as error:
            raise ToolFailed(f"'{text}' is not a date: {error}") from None
    raise ToolFailed(f"'{text}' is not a date. Write it as YYYY-MM-DD, such as {today:%Y-%m-%d}")


def _now(now: datetime, zone: str) -> str:
    if not zone.strip():
        return f"It is now {_day(now.date())}, {now:%H:%M} ({now.tzinfo})."
    try:
        there = now.astimezone(ZoneInfo(zone.strip()))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ToolFailed(
            f"There is no time zone '{zone}'. Use a name such as Europe/Berlin or UTC"
        ) from None
    return f"It is now {_day(there.date())}, {there:%H:%M} ({there.tzinfo})."


def _day(day: date) -> str:
    return f"{_WEEKDAYS[day.weekday()].capitalize()} {day:%Y-%m-%d}"


def _difference(first: date, last: date) -> str:
    days = (last - first).days
    weeks, rest = divmod(abs(days), 7)
    way = "before" if days < 0 else "after"
    return (
        f"{_day(last)} is {abs(days)} days {way} {_day(first)} "
        f"({weeks} weeks and {rest} days; {abs(business_days_between(first, last))} business days, "
        "holidays not taken out)."
    )


def _answer(asked: Moment, now: datetime) -> str:
    """What was asked for and no more: small models take the first figure that they read."""
    first = _read(asked.date, now.date())
    parts = _counted(asked, first, now.date())
    if parts and not asked.zone.strip():
        return " ".join(parts)
    away = (first - now.date()).days
    weekday = _WEEKDAYS[first.weekday()].capitalize()
    told = [f"{first:%Y-%m-%d} is a {weekday}, {_away(away, 'days')} today."] if away else []
    return " ".join([_now(now, asked.zone), *told, *parts])


def _counted(asked: Moment, first: date, today: date) -> list[str]:
    parts = []
    if asked.until.strip():
        last = _read(asked.until, today)
        parts += [_difference(first, last)] if last != first else []
    if asked.days:
        moved = first + timedelta(asked.days)
        parts.append(f"{_away(asked.days, 'days')} {_day(first)} is {_day(moved)}.")
    if asked.business_days:
        moved = add_business_days(first, asked.business_days)
        away = _away(asked.business_days, "business days")
        parts.append(f"{away} {_day(first)} is {_day(moved)} (holidays not taken out).")
    if asked.clock.strip() and asked.minutes:
        parts.append(_later(asked.clock, asked.minutes))
    return parts


def _later(clock: str, minutes: int) -> str:
    matched = _CLOCK.fullmatch(clock.strip())
    if not matched:
        raise ToolFailed(f"'{clock}' is not a time. Write it as HH:MM, such as 09:30")
    hour, minute = int(matched[1]), int(matched[2])
    days, end = divmod(hour * 60 + minute + minutes, 24 * 60)
    on = f" {_away(days, 'days')} that day" if days else ""
    return f"{_away(minutes, 'minutes')} {hour:02}:{minute:02} is {end // 60:02}:{end % 60:02}{on}."


def _away(days: int, unit: str) -> str:
    return f"{abs(days)} {unit} {'after' if days > 0 else 'before'}"


async def _run(arguments: Moment, context: ToolContext) -> str:
    try:
        return _answer(arguments, context.now)
    except OverflowError:
        raise ToolFailed("That date lies outside the years 1 to 9999. Use fewer days") from None


DATE_TIME = Tool(
    name="date_time",
    description="Knows the date and time now, days of the week, days between two dates, and "
    "dates some days or business days away. You do not know these yourself.",
    parameters=schema_of(Moment),
    effect="read",
    title="Looking at the calendar",
    call=checked(Moment, _run),
    foreign=False,
    examples=(
        "Which weekday is 4 July?",
        "How many days lie between 1 May and 9 June?",
        "What time is it in Sydney?",
    ),
    known="2026-07-04 is a Saturday.",
)
