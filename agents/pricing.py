"""What a model call costs, from the published prices that genai-prices carries (no network)."""

import genai_prices
import genai_prices.data_snapshot

from agents.streaming import Usage

OPENAI_URL = "https://api.openai.com/v1"


def load_prices() -> None:
    """Read the table now: it takes 0.4 s, which the first answer should not wait for."""
    genai_prices.data_snapshot.get_snapshot()


def cost_usd(usage: Usage | None, *, model: str, base_url: str | None) -> float | None:
    """The price in US dollars; None when the tokens, the provider or its price are unknown."""
    if usage is None:
        return None
    tokens = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached,
        output_tokens=usage.output_tokens,
    )
    try:
        price = genai_prices.calc_price(tokens, model, provider_api_url=base_url or OPENAI_URL)
    except LookupError:
        return None
    return float(price.total_price)
