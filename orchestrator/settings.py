"""One frozen settings object, read from the environment once at start."""

import os
import re
import sys
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from database.errors import ConfigurationError

DEFAULT_STRONG_MODEL = "gpt-4.1"
DEFAULT_FAST_MODEL = "gpt-4.1-mini"

_SECRET_KEY_BYTES = 32


def _http_address(value: str) -> str:
    if not _is_http(value):
        raise ValueError("must be an address such as https://host/path")
    return value


def _is_http(value: str) -> bool:
    try:
        parts = urlsplit(value)
        usable = parts.port is None or parts.port > 0  # reading it checks it
    except ValueError:
        return False
    plain = value.isprintable() and " " not in value
    return parts.scheme in ("http", "https") and bool(parts.hostname) and usable and plain


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _token(value: SecretStr, info: ValidationInfo) -> SecretStr:
    prefix, kind = {
        "slack_bot_token": ("xoxb-", "bot token"),
        "slack_app_token": ("xapp-", "app-level token"),
    }[str(info.field_name)]
    # Slack puts "xoxe." before tokens that expire.
    if not value.get_secret_value().removeprefix("xoxe.").startswith(prefix):
        raise ValueError(f"must be the {kind}, which starts with {prefix}")
    return value


def _encryption_key(value: SecretStr) -> SecretStr:
    try:
        size = len(urlsafe_b64decode(value.get_secret_value()))
    except (Base64Error, ValueError):
        size = 0
    if size != _SECRET_KEY_BYTES:
        raise ValueError(
            "must be 32 bytes in URL-safe base64: unset it to use a key file, or make one with "
            "`head -c 32 /dev/urandom | base64 | tr '+/' '-_'`"
        )
    return value


def _people(value: str) -> str:
    if not all(re.fullmatch(r"[UW][A-Z0-9]+", entry) for entry in value.replace(",", " ").split()):
        raise ValueError("must be ids of people such as U0123ABCD, with commas between them")
    return value


def _channel(value: str) -> str:
    if not re.fullmatch(r"[CG][A-Z0-9]+", value):
        raise ValueError("must be the id of a channel such as C0123ABCD (in its details in Slack)")
    return value


def _database(value: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        usable = parts.port is None or parts.port > 0
    except ValueError:
        usable = False
    else:
        usable = usable and parts.scheme in ("postgres", "postgresql") and len(parts.path) > 1
    if not usable:
        raise ValueError("must be a Postgres address such as postgresql://user:password@host/name")
    return value


def _switch(value: object) -> bool:
    if str(value).lower() not in ("on", "off", "true", "false"):
        raise ValueError("must be on or off")
    return str(value).lower() in ("on", "true")


def _folder(value: Path) -> Path:
    path = Path(os.path.abspath(value.expanduser()))
    if path.exists() and not path.is_dir():
        raise ValueError(f"must name a folder, but {path} is a file")
    return path


def _default_models_dir() -> Path:
    """The user's cache folder, so that several homes share one download."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "virtuous6" / "models"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "virtuous6" / "models"


Address = Annotated[str, AfterValidator(_http_address)]
Token = Annotated[SecretStr, AfterValidator(_token)]
Folder = Annotated[Path, AfterValidator(_folder)]


class Settings(BaseSettings):
    """What is fixed at start; field `x_y` is the environment variable `X_Y`.

    An empty variable counts as unset. `load_settings` is the way to make one from the environment.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    slack_bot_token: Token | None = None
    slack_app_token: Token | None = None
    slack_signing_secret: SecretStr | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_api_url: Address = "https://slack.com/api/"
    openai_api_key: SecretStr | None = None
    openai_base_url: Address | None = None
    virtuous6_model: str | None = None
    virtuous6_fast_model: str | None = None
    virtuous6_secret_key: Annotated[SecretStr, AfterValidator(_encryption_key)] | None = None
    virtuous6_public_url: Address | None = None
    virtuous6_home: Folder = Field(default_factory=lambda: Path.home() / ".virtuous6")
    virtuous6_models_dir: Folder = Field(default_factory=_default_models_dir)

    supabase_url: Address | None = None
    supabase_service_role_key: SecretStr | None = None
    supabase_db_url: SecretStr | None = None
    virtuous6_engine_url: Annotated[SecretStr, AfterValidator(_database)] | None = None
    virtuous6_model_calls_per_minute: int | None = Field(default=None, gt=0)
    virtuous6_outbox_max_rows: int = Field(default=1_000_000, gt=0)

    virtuous6_mcp_config: Path | None = None
    virtuous6_approvers: Annotated[str, AfterValidator(_people)] = ""
    virtuous6_improvements_channel: Annotated[str, AfterValidator(_channel)] | None = None
    virtuous6_learning: Annotated[bool, BeforeValidator(_switch)] = True

    @property
    def home(self) -> Path:
        """Where local data lives."""
        return self.virtuous6_home

    @property
    def models_dir(self) -> Path:
        """Where weights of the embedded model live."""
        return self.virtuous6_models_dir

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who may decide at first, by id; with nobody named, the workspace's admins may."""
        return tuple(self.virtuous6_approvers.replace(",", " ").split())

    @property
    def engine_url(self) -> str | None:
        """The Postgres that goals are kept in; None: a file in `home`."""
        url = self.virtuous6_engine_url
        return url.get_secret_value() if url else None

    @property
    def engine_elsewhere(self) -> bool:
        """Whether that Postgres is on another machine, so that workers may be, too."""
        if self.engine_url is None:
            return False
        parts = urlsplit(self.engine_url)
        host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
        return not (host in ("", "localhost") or host.startswith("/") or _is_loopback(host))

    @property
    def embedded(self) -> bool:
        """Whether the embedded model answers, because no other model is configured."""
        return self.openai_api_key is None and self.openai_base_url is None

    @property
    def strong_model(self) -> str:
        """The model that answers."""
        return self.virtuous6_model or DEFAULT_STRONG_MODEL

    @property
    def fast_model(self) -> str:
        """The model for small questions; the strong one where only that is named."""
        return self.virtuous6_fast_model or self.virtuous6_model or DEFAULT_FAST_MODEL


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, with `overrides` by field name.

    Raises:
        ConfigurationError: in one line that names the first wrong variable and what to set.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError(_one_line(error)) from None


def _one_line(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    name = str(problem["loc"][0]).upper()
    message = problem["msg"].removeprefix("Value error, ")
    return f"{name} {message}."


def environment_names() -> Mapping[str, str]:
    """Every environment variable that is read, with the field it fills."""
    return {name.upper(): name for name in Settings.model_fields}
