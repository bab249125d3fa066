import pytest

from agents.pricing import cost_usd
from agents.streaming import Usage

THOUSAND = Usage(input_tokens=1000, output_tokens=100)
OPENROUTER = "https://openrouter.ai/api/v1"


def test_a_known_model_has_its_published_price() -> None:
    cost = cost_usd(THOUSAND, model="gpt-4.1-mini", base_url=None)
    assert cost == pytest.approx(1000 * 0.4e-6 + 100 * 1.6e-6)


def test_tokens_that_were_cached_are_cheaper() -> None:
    cached = Usage(input_tokens=1000, output_tokens=100, cached=900)
    full = cost_usd(THOUSAND, model="gpt-4.1-mini", base_url=None)
    reduced = cost_usd(cached, model="gpt-4.1-mini", base_url=None)
    assert full is not None
    assert reduced is not None
    assert 0 < reduced < full


@pytest.mark.parametrize(
    ("usage", "model", "base_url"),
    [
        (None, "gpt-4.1-mini", None),
        (THOUSAND, "a-model-nobody-knows", None),
        (THOUSAND, "gpt-4.1-mini", "http://127.0.0.1:8080/v1"),
        (THOUSAND, "a-model-nobody-knows", OPENROUTER),
    ],
)
def test_an_unknown_price_is_unknown_and_not_zero(
    usage: Usage | None, model: str, base_url: str | None
) -> None:
    assert cost_usd(usage, model=model, base_url=base_url) is None
