"""Decisions of approvers: kept, read, refused when they make no sense, never lost."""

from pathlib import Path

import pytest

from database.errors import InputError, UnknownName
from database.store import Store
from orchestrator.policy import NAMES, RELOAD_SECONDS, Policy


async def test_defaults_are_quiet_and_closed(store: Store) -> None:
    policy = Policy(store.policy)
    assert policy.speaking("C1") == "threads"
    assert not policy.allows("external", "C1")
    assert not policy.allows("guests", "U1")
    assert not policy.allows("bots", "B1")
    assert policy.approvers == ()
    assert {setting.key for setting in policy.settings()} == set(NAMES)


async def test_a_decision_for_one_place_counts_before_the_one_for_all(store: Store) -> None:
    policy = Policy(store.policy)
    await policy.set("speak", "mentions", "U0ADA")
    await policy.set("speak.C1", "Everything", "U0ADA")
    assert (policy.speaking("C1"), policy.speaking("C2")) == ("everything", "mentions")
    await policy.set("speak.C1", "default", "U0GRACE")
    assert policy.speaking("C1") == "mentions"
    assert policy.setting("speak.C1").value == "mentions"
    kept = [(c.key, c.value, c.set_by) for c in policy.history()]
    assert kept == [
        ("speak", "mentions", "U0ADA"),
        ("speak.C1", "everything", "U0ADA"),
        ("speak.C1", None, "U0GRACE"),
    ]


async def test_a_decision_outlives_a_restart_and_reaches_another_process(tmp_path: Path) -> None:
    now = [0.0]
    one, other = Store.open(tmp_path, "T1"), Store.open(tmp_path, "T1")
    elsewhere = Store.open(tmp_path, "T2")
    reading = Policy(other.policy, timer=lambda: now[0])
    assert reading.speaking("C1") == "threads"
    await Policy(one.policy).set("speak.C1", "mentions", "U1")
    now[0] += RELOAD_SECONDS
    assert reading.speaking("C1") == "mentions"
    assert Policy(elsewhere.policy).speaking("C1") == "threads"
    for store in (one, other, elsewhere):
        await store.close()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("speak", "loudly", "must be one of mentions, threads, everything"),
        ("allow_guests", "perhaps", "must be yes or no"),
        ("person_tokens_per_day", "-1", "must be a whole number, or unlimited"),
        ("workspace_usd_per_day", "much", "an amount in dollars"),
        ("approvers", "ada", "ids of people"),
        ("speak.U0ADA", "mentions", "does not name a channel"),
        ("workspace_at_once.C1", "3", "holds for the whole workspace"),
        ("person_at_once.", "3", "does not name a person"),
        ("mode.U0ADA", "ask", "does not name an agent"),
        ("mode.coder", "always", "must be one of automatic, ask, paused"),
        ("improvement.coder", "off", "holds for the whole workspace"),
        ("learning_share", "150%", "a share such as 10% or 0.1"),
        ("learning_share", "-0.1", "a share such as 10% or 0.1"),
        ("summary_hour", "24", "an hour of the day"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    store: Store, key: str, value: str, says: str
) -> None:
    policy = Policy(store.policy)
    with pytest.raises(InputError, match=says):
        await policy.set(key, value, "U1")
    assert list(policy.history()) == []


async def test_an_unknown_policy_is_told_with_those_there_are(store: Store) -> None:
    with pytest.raises(UnknownName, match="There is no policy volume"):
        await Policy(store.policy).set("volume", "11", "U1")


async def test_values_are_read_as_people_write_them(store: Store) -> None:
    policy = Policy(store.policy)
    await policy.set("approvers", "<@U0ADA|ada>, U0GRACE", "U1")
    await policy.set("person_usd_per_day", "$2.50", "U1")
    await policy.set("person_tokens_per_day.U0ADA", "1,000", "U1")
    await policy.set("channel_at_once", "unlimited", "U1")
    assert policy.approvers == ("U0ADA", "U0GRACE")
    assert policy.limit("person", "usd_per_day", "U7") == 2.5
    assert policy.limit("person", "tokens_per_day", "U0ADA") == 1000
    assert policy.limit("channel", "at_once", "C1") is None


async def test_a_new_workspace_is_asked_about_everything_and_may_decide_for_one_agent(
    store: Store,
) -> None:
    policy = Policy(store.policy)
    assert (policy.improvement(), policy.mode("coder")) == ("on", "ask")
    await policy.set("mode.coder", "automatic", "U1")
    await policy.set("promotions_per_week.coder", "1", "U1")
    await policy.set("learning_share", "5%", "U1")
    await policy.set("summary_hour", "off", "U1")
    assert (policy.mode("coder"), policy.mode("analyst")) == ("automatic", "ask")
    assert policy.promotions_per_week("coder") == 1
    assert policy.promotions_per_week("analyst") == 3
    assert policy.share("learning_share") == 0.05
    assert policy.summary_hour() is None
    assert Policy(store.policy).share("learning_share") == 0.05


async def test_who_is_forgotten_is_gone_from_decisions_too(store: Store) -> None:
    policy = Policy(store.policy)
    await policy.set("allow_guests.U0ADA", "yes", "U0GRACE")
    await policy.set("speak", "mentions", "U0ADA")
    await store.forget("U0ADA")
    fresh = Policy(store.policy)
    assert not fresh.allows("guests", "U0ADA")
    assert fresh.speaking("C1") == "mentions"
    assert "U0ADA" not in str(fresh.history()) + str(fresh.settings())
