from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.tools.base import ArgumentsRefused, ToolFailed
from agents.tools.date_time import DATE_TIME, add_business_days, business_days_between
from tests.agents.doubles import context

HERE = context(now=datetime(2026, 11, 21, 9, 5, tzinfo=ZoneInfo("Europe/Lisbon")))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"operation": "now"}, "It is Saturday 2026-11-21, 09:05 (Europe/Lisbon)."),
        (
            {"operation": "now", "zone": "Asia/Tokyo"},
            "It is Saturday 2026-11-21, 18:05 (Asia/Tokyo).",
        ),
        ({"operation": "weekday", "date": "2026-12-25"}, "2026-12-25 is a Friday."),
        ({"operation": "weekday", "date": "tomorrow"}, "2026-11-22 is a Sunday."),
        ({"operation": "weekday", "date": "2026-3-1"}, "2026-03-01 is a Sunday."),
        ({"operation": "weekday", "date": "2026-12-25T10:00"}, "2026-12-25 is a Friday."),
        (
            {"operation": "difference", "until": "2026-12-25"},
            "Friday 2026-12-25 is 34 days after Saturday 2026-11-21 (4 weeks and 6 days; "
            "25 business days, holidays not taken out).",
        ),
        (
            {"operation": "difference", "date": "2026-11-23", "until": "2026-11-20"},
            "Friday 2026-11-20 is 3 days before Monday 2026-11-23 (0 weeks and 3 days; "
            "1 business days, holidays not taken out).",
        ),
        (
            {"operation": "add_days", "days": 90},
            "90 days from Saturday 2026-11-21 is Friday 2027-02-19.",
        ),
        (
            {"operation": "add_days", "date": "2024-02-28", "days": 2},
            "2 days from Wednesday 2024-02-28 is Friday 2024-03-01.",
        ),
        (
            {"operation": "add_business_days", "date": "friday", "days": 3},
            "3 business days from Friday 2026-11-27 is Wednesday 2026-12-02 "
            "(holidays not taken out).",
        ),
        (
            {"operation": "weekday", "date": "next Saturday"},
            "2026-11-28 is a Saturday.",
        ),
    ],
)
async def test_it_knows_dates(asked: dict[str, object], answer: str) -> None:
    assert await DATE_TIME.call(asked, HERE) == answer


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"operation": "now", "zone": "Mars/Base"}, "no time zone 'Mars/Base'"),
        ({"operation": "now", "zone": "../../etc/passwd"}, "no time zone"),
        ({"operation": "weekday", "date": "2026-02-30"}, "is not a date: day is out of range"),
        ({"operation": "weekday", "date": "25/12/2026"}, "Write it as YYYY-MM-DD"),
        ({"operation": "difference", "date": "2026-01-01"}, "needs two dates"),
        ({"operation": "add_days", "days": 10**12}, "outside the years"),
        ({"operation": "add_business_days", "days": 10**30}, "outside the years"),
        ({"operation": "add_business_days", "date": "9999-12-30", "days": 9}, "outside the years"),
    ],
)
async def test_it_refuses_and_says_what_to_do(asked: dict[str, object], words: str) -> None:
    with pytest.raises(ToolFailed, match=words):
        await DATE_TIME.call(asked, HERE)


async def test_an_unknown_operation_is_told_with_the_known_ones() -> None:
    with pytest.raises(ArgumentsRefused, match="operation: Input should be 'weekday'"):
        await DATE_TIME.call({"operation": "guess"}, HERE)


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
