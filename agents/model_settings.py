"""Which models to call and how patiently."""

from dataclasses import dataclass
from typing import Self

from pydantic import SecretStr

from database.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One provider and the names of its models; times in seconds.

    `timeout_s` runs until the first token, `silence_s` between tokens. `answer_tokens` limits the
    answers of those who set no limit of their own. `provider` "embedded" has no price. An idle
    connection is closed after `keep_alive_s`, which is best shorter than the server's own patience;
    with 0 none is used twice.
    """

    base_url: str | None
    api_key: SecretStr | None
    strong: str
    fast: str
    native_tools: bool = True
    timeout_s: float = 60.0
    max_retries: int = 2
    concurrency: int = 64
    provider: str = "openai"
    connect_s: float = 10.0
    silence_s: float = 30.0
    answer_tokens: int | None = None
    keep_alive_s: float = 30.0

    def __post_init__(self) -> None:
        if self.base_url is None and self.api_key is None:
            raise ConfigurationError(
                "No model is configured. Set OPENAI_API_KEY or OPENAI_BASE_URL, or use the "
                "embedded model: virtuous6 model pull small"
            )
        key = "none" if self.api_key is None else self.api_key.get_secret_value()
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError(
                "OPENAI_API_KEY is empty or holds spaces, line ends or other characters that no "
                "key has. Copy the key again."
            )

    @classmethod
    def embedded(cls, base_url: str, name: str) -> Self:
        """For the model that runs in this process: slow to begin, two at a time, no price."""
        return cls(
            base_url=base_url,
            api_key=None,
            strong=name,
            fast=name,
            native_tools=False,
            timeout_s=300.0,
            max_retries=1,
            concurrency=2,
            provider="embedded",
            silence_s=120.0,
            answer_tokens=1024,
            # it promises to keep a connection, and hangs up after each streamed answer
            keep_alive_s=0.0,
        )
