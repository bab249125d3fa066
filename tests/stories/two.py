"""Several workspaces of one running Slack: their people, and how the app gets in."""

from dataclasses import dataclass, field

import httpx

from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.server import LocalTeam
from tests.stories.story import Story


@dataclass(slots=True)
class Place(Story):
    """One of the two workspaces, its people and their assistant."""

    team: LocalTeam = field(kw_only=True)
    secret: str = field(kw_only=True)

    async def _arrived(self) -> bool:
        deliveries = self.team.runtime.log.rows(kind="delivery")
        return all(row["outcome"] != "pending" for row in deliveries)


async def install(base: str, workspace: LocalWorkspace, team: str, user: str = "ada") -> str:
    """Somebody installs the app from our page; what the last page says."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        begun = await browser.get(f"{base}/slack/install")
        [href] = [part.split('"')[0] for part in begun.text.split('href="')[1:]]
        back = workspace.consent(href.replace("&amp;", "&"), team, user)
        cookie = begun.headers["set-cookie"].split(";")[0]
        return (await browser.get(back, headers={"Cookie": cookie})).text
