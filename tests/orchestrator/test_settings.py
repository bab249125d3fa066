from pathlib import Path

import pytest

from database.errors import ConfigurationError
from orchestrator.settings import environment_names, load_settings
from orchestrator.supabase import is_configured


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)


def test_nothing_set_means_embedded_model_and_home_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = load_settings()
    assert settings.embedded
    assert settings.home == tmp_path / ".virtuous6"
    assert settings.models_dir.is_relative_to(tmp_path)
    assert settings.slack_api_url == "https://slack.com/api/"


def test_an_address_or_a_key_means_not_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert not load_settings().embedded
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert load_settings().embedded
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert not load_settings().embedded


def test_only_one_model_named_is_used_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUOUS6_MODEL", "mine")
    settings = load_settings()
    assert (settings.strong_model, settings.fast_model) == ("mine", "mine")
    monkeypatch.setenv("VIRTUOUS6_FAST_MODEL", "small")
    assert load_settings().fast_model == "small"


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("SLACK_BOT_TOKEN", "xapp-1", "xoxb-"),
        ("SLACK_APP_TOKEN", "xoxb-1", "xapp-"),
        ("SLACK_API_URL", "localhost", "https://host/path"),
        ("OPENAI_BASE_URL", "ftp://x", "https://host/path"),
        ("VIRTUOUS6_SECRET_KEY", "short", "32 bytes"),
        ("VIRTUOUS6_HOME", __file__, "folder"),
    ],
)
def test_a_bad_value_is_one_line_that_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    text = str(caught.value)
    assert text.startswith(name)
    assert advice in text
    assert "\n" not in text


def test_a_token_that_expires_is_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxe.xoxb-1")
    token = load_settings().slack_bot_token
    assert token is not None
    assert token.get_secret_value() == "xoxe.xoxb-1"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value")
    assert "sk-secret-value" not in repr(load_settings())


def test_approvers_are_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().approvers == ()
    monkeypatch.setenv("VIRTUOUS6_APPROVERS", "U0ADA, W0GRACE")
    assert load_settings().approvers == ("U0ADA", "W0GRACE")
    monkeypatch.setenv("VIRTUOUS6_APPROVERS", "ada")
    with pytest.raises(ConfigurationError, match="VIRTUOUS6_APPROVERS must be ids of people"):
        load_settings()


@pytest.mark.parametrize(
    "address", ["http://host:abc/v1", "http://host:99999", "http://", "http://a b/v1", "host/v1"]
)
def test_an_address_that_is_none_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL must be an address"):
        load_settings()


@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"])
def test_half_of_supabase_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert not is_configured(load_settings())
    monkeypatch.setenv(name, "https://abc.supabase.co")
    with pytest.raises(ConfigurationError, match=rf"{name} is set but \w+ is not"):
        is_configured(load_settings())
