"""What is like what: by meaning (wordllama) and by letters (rapidfuzz), both without a network."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz

from database.errors import ConfigurationError

Vectors = NDArray[np.float32]


class Similarity:
    """Word vectors pooled into one vector for each text; `load` gives the shared one.

    Loading takes about half a second and happens once; embedding a text takes microseconds.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @classmethod
    def load(cls) -> Self:
        """The vectors that lie in the installed package. Raises ConfigurationError."""
        return cls(_engine())

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row for each text, of length 1, so that a dot product is the cosine.

        A text without any known word is a row of zeros, like nothing at all.
        """
        if not texts:
            return np.empty((0, self._engine.embedding.shape[1]), np.float32)
        vectors: Vectors = self._engine.embed(list(texts)).astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        vectors /= lengths
        return vectors

    def score(self, one: str, other: str) -> float:
        """The cosine of two texts, -1 to 1; about 0 for texts that have nothing in common."""
        first, second = self.embed([one, other])
        return float(first @ second)


def surface_similarity(one: str, other: str) -> float:
    """How alike two texts are letter by letter, 0 to 1, whatever the order of their words."""
    return fuzz.token_sort_ratio(one.casefold(), other.casefold()) / 100


@cache
def _engine() -> Any:
    # takes 0.5 s to import, and most commands never compare anything
    from wordllama import WordLlama  # noqa: PLC0415

    spec = find_spec("wordllama")
    folder = Path(spec.origin or "").parent if spec else Path()
    try:
        # without these two it asks a server for what lies in the package
        engine = WordLlama.load(cache_dir=folder, disable_download=True)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"The word vectors of wordllama are missing ({error}). Install it again: "
            "pip install --force-reinstall wordllama"
        ) from None
    # the package keeps 16 bits of each number and loads 32: half of that memory holds nothing
    engine.embedding = engine.embedding.astype(np.float16)
    return engine
