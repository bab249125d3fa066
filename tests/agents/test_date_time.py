from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.tools.base import ArgumentsRefused, ToolFailed
from agents.tools.date_time import DATE_TIME, add_business_days, business_days_between
from tests.agents.doubles import context

HERE = context(now=datetime(2026, 11, 21, 9, 5, tzinfo=ZoneInfo("Europe/Lisbon")))


HERE_NOW = "It is now Saturday 2026-11-21, 09:05 (Europe/Lisbon)."


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({}, HERE_NOW),
        ({"date": "2026-12-25"}, f"{HERE_NOW} 2026-12-25 is a Friday, 34 days after today."),
        ({"date": "tomorrow"}, f"{HERE_NOW} 2026-11-22 is a Sunday, 1 days after today."),
        ({"date": "2026-3-1"}, f"{HERE_NOW} 2026-03-01 is a Sunday, 265 days before today."),
        ({"date": "2026-12-25T10:00"}, f"{HERE_NOW} 2026-12-25 is a Friday, 34 days after today."),
        ({"date": "next Saturday"}, f"{HERE_NOW} 2026-11-28 is a Saturday, 7 days after today."),
        (
            {"until": "2026-12-25"},
            "Friday 2026-12-25 is 34 days after Saturday 2026-11-21 (4 weeks and 6 days; "
            "25 business days, holidays not taken out).",
        ),
        (
            {"date": "2026-11-23", "until": "2026-11-20"},
            "Friday 2026-11-20 is 3 days before Monday 2026-11-23 (0 weeks and 3 days; "
            "1 business days, holidays not taken out).",
        ),
        ({"days": 90}, "90 days after Saturday 2026-11-21 is Friday 2027-02-19."),
        ({"days": -1}, "1 days before Saturday 2026-11-21 is Friday 2026-11-20."),
        (
            {"date": "2024-02-28", "days": 2},
            "2 days after Wednesday 2024-02-28 is Friday 2024-03-01.",
        ),
        (
            {"date": "friday", "business_days": 3},
            "3 business days after Friday 2026-11-27 is Wednesday 2026-12-02 "
            "(holidays not taken out).",
        ),
        ({"until": "today"}, HERE_NOW),
        ({"clock": "14:35", "minutes": 85}, "85 minutes after 14:35 is 16:00."),
        (
            {"clock": "21:50", "minutes": 205},
            "205 minutes after 21:50 is 01:15 1 days after that day.",
        ),
        (
            {"clock": "0:30", "minutes": -45},
            "45 minutes before 00:30 is 23:45 1 days before that day.",
        ),
        ({"clock": "10:00"}, HERE_NOW),
    ],
)
async def test_it_knows_dates(asked: dict[str, object], answer: str) -> None:
    assert await DATE_TIME.call(asked, HERE) == answer


async def test_it_knows_the_time_elsewhere() -> None:
    answer = await DATE_TIME.call({"zone": "Asia/Tokyo"}, HERE)
    assert answer == "It is now Saturday 2026-11-21, 18:05 (Asia/Tokyo)."


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"zone": "Mars/Base"}, "no time zone 'Mars/Base'"),
        ({"zone": "../../etc/passwd"}, "no time zone"),
        ({"date": "2026-02-30"}, "is not a date: day is out of range"),
        ({"date": "25/12/2026"}, "Write it as YYYY-MM-DD"),
        ({"clock": "9 am", "minutes": 5}, "is not a time. Write it as HH:MM"),
        ({"until": "soon"}, "'soon' is not a date"),
        ({"days": 10**12}, "outside the years"),
        ({"business_days": 10**30}, "outside the years"),
        ({"date": "9999-12-30", "business_days": 9}, "outside the years"),
    ],
)
async def test_it_refuses_and_says_what_to_do(asked: dict[str, object], words: str) -> None:
    with pytest.raises(ToolFailed, match=words):
        await DATE_TIME.call(asked, HERE)


async def test_days_that_are_no_number_are_refused() -> None:
    with pytest.raises(ArgumentsRefused, match="days: Input should be a valid integer"):
        await DATE_TIME.call({"days": "many"}, HERE)


days = st.dates(date(1990, 1, 1), date(2060, 1, 1))


def counted(first: date, last: date) -> int:
    steps = (first + timedelta(days=at) for at in range(1, (last - first).days + 1))
    return sum(day.weekday() < 5 for day in steps)


@given(days, st.integers(0, 400))
def test_business_days_between_agrees_with_counting(first: date, days: int) -> None:
    last = first + timedelta(days=days)
    assert business_days_between(first, last) == counted(first, last)


@given(days, st.integers(-300, 300).filter(bool))
def test_adding_business_days_lands_on_the_one_that_counting_finds(first: date, days: int) -> None:
    step = 1 if days > 0 else -1
    moved, left = first, abs(days)
    while left:
        moved += timedelta(days=step)
        left -= moved.weekday() < 5
    assert add_business_days(first, days) == moved
