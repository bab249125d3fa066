"""Plans in Slack, as tests ask for them and read them."""

from typing import Any

from database.errors import StoreError
from slack_interface.goals import Goals
from tests.people import ADA, BOT, Json, eventually, find
from tests.slack_interface.goal_samples import ScriptedGoals
from tests.slack_interface.world import World

GENERAL = "C0GENERAL"
ASKED = "plan: compare three error trackers, check our budget, draft the announcement"


def button(message: Json, words: str) -> Json:
    [found] = [b for b in find(message["blocks"], "button") if b["text"]["text"] == words]
    return {"type": "button", "action_id": found["action_id"], "value": found["value"]}


def buttons(message: Json) -> list[str]:
    return [b["text"]["text"] for b in find(message.get("blocks") or [], "button")]


def cards(message: Json) -> list[tuple[str, str]]:
    """The steps of a plan: title and state."""
    return [(card["title"], card["status"]) for card in find(message["blocks"], "task_card")]


def words(value: Any) -> str:
    """All texts in a block or message."""
    if isinstance(value, dict):
        return " ".join(words(child) for key, child in value.items() if key != "type")
    if isinstance(value, list):
        return " ".join(map(words, value))
    return value if isinstance(value, str) else ""


async def planned(world: World, user: str = ADA, channel: str = "@assistant") -> tuple[str, Json]:
    """A request that becomes a plan: its ts, and the message with the plan."""
    mention = "" if channel == "@assistant" else "@Virtuous6 "
    ts = await world.say(f"{mention}{ASKED}", user, channel)
    where = f"D{user[1:]}" if channel == "@assistant" else f"C0{channel.upper()}"
    return ts, await plan_of(world, ts, where)


async def plan_of(world: World, ts: str, channel: str = "D0ADA") -> Json:
    async def there() -> Json | None:
        found = await world.thread(ts, channel)
        return next((m for m in found if find(m.get("blocks") or [], "plan")), None)

    found: Json = await eventually(there, "a plan")
    await world.idle()
    return await there() or found


async def ours(world: World, ts: str, channel: str = "D0ADA") -> list[Json]:
    await world.idle()
    return [m for m in await world.thread(ts, channel) if m.get("user") == BOT]


async def has_ended(goals: ScriptedGoals) -> bool:
    return goals.only.ended


async def asked_for(goals: ScriptedGoals) -> bool:
    return bool(goals.acts)


async def acts_are(goals: ScriptedGoals, count: int) -> bool:
    return len(goals.acts) >= count


async def last_with(world: World, ts: str, text: str) -> Json | None:
    found = [m for m in await world.thread(ts) if text in m["text"] and m.get("user") == BOT]
    return found[-1] if found else None


async def is_planned(goals: ScriptedGoals) -> bool:
    return bool(goals.goals)


async def away(*_: object) -> None:
    raise StoreError("The goals' database is away. See that it runs.")


def the_goals(world: World) -> Goals:
    assert world.bot
    [desk] = world.bot.desks
    assert desk.goals
    return desk.goals
