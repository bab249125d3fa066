"""What all teams share: the app's connections, the clock, the faults, the tokens, the log."""

from collections.abc import Callable

from slack_interface.local_workspace.activity_log import ActivityLog
from slack_interface.local_workspace.clock import Clock
from slack_interface.local_workspace.config import Json, WorkspaceConfig
from slack_interface.local_workspace.delivery import Delivery
from slack_interface.local_workspace.faults import Faults
from slack_interface.local_workspace.http_push import HttpPush
from slack_interface.local_workspace.installations import Installations
from slack_interface.local_workspace.socket_mode import SocketHub


class Platform:
    """The part of Slack that belongs to the app and to no team."""

    def __init__(self, config: WorkspaceConfig) -> None:
        self.config = config
        self.secrets = config.secrets
        self.base_url = f"http://{config.host}:{config.port}"
        self.clock = Clock(config.clock_rate)
        self.faults = self._default_faults()
        self.log = ActivityLog(config.log_size)
        self.installations = Installations(self.clock, config.limits)
        self.sockets = SocketHub(self.clock, config.limits, self.app_changed)
        self.delivery = Delivery(self.clock, config.limits, self.faults, self.log, self.sockets)
        self.watchers: list[Callable[[Json], None]] = []
        self._push: HttpPush | None = None

    def app_changed(self) -> None:
        """The app came or went: the pages show it."""
        self.tell_pages({"type": "app", "connected": self.delivery.is_connected()})

    def tell_pages(self, event: Json) -> None:
        """Something that every page of every team shows."""
        for watcher in self.watchers:
            watcher(event)

    async def set_request_url(self, url: str | None) -> None:
        """Switch to HTTP mode (after url_verification), or back to Socket Mode with None.

        Raises ControlError `url_verification_failed`, `invalid_request_url`.
        """
        push = HttpPush(url, self.secrets) if url else None
        if push is not None:
            try:
                await push.verify(self.clock.deadline(self.config.limits.ack_s))
            except BaseException:
                await push.close()
                raise
        if self._push is not None:
            await self._push.close()
        self._push = self.delivery.push = push
        self.app_changed()

    def set_faults(self, wanted: Json) -> None:
        """Change faults, pacing and clock.

        Raises ControlError `invalid_fault`.
        """
        self.faults.update(wanted)
        self.clock.rate = self.faults.clock_rate

    async def reset(self) -> None:
        """Forget deliveries, the log, faults and installations; the app stays connected."""
        await self.delivery.drop_pending()
        self.log.clear()
        self.installations.clear()
        self.set_faults(self._default_faults().as_json())

    async def close(self) -> None:
        """Stop deliveries."""
        await self.delivery.close()
        if self._push is not None:
            await self._push.close()

    def _default_faults(self) -> Faults:
        return Faults(
            pacing=self.config.pacing,
            clock_rate=self.config.clock_rate,
            stream_lifetime_s=self.config.limits.stream_lifetime_s,
        )
