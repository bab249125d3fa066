"""What is like what: by meaning (wordllama) and by letters (rapidfuzz), both without a network."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz

from database.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = NDArray[np.float32]

_TOKENIZER = Path("tokenizers", "l2_supercat_tokenizer_config.json")
_WEIGHTS = Path("weights", "l2_supercat_256.safetensors")
"""In wordllama's folder. Its own reader brings 14 MB of code and copies the vectors twice."""


class Similarity:
    """Word vectors pooled into one vector for each text; `load` gives the shared one.

    Loading takes about a quarter of a second and happens once; embedding a text takes microseconds.
    """

    def __init__(self, tokenizer: "Tokenizer", table: NDArray[np.float16]) -> None:
        self._tokenizer = tokenizer
        self._table = table

    @classmethod
    @cache
    def load(cls) -> Self:
        """The vectors that lie in the installed package. Raises ConfigurationError."""
        # takes 0.2 s to import, and most commands never compare anything
        from tokenizers import Tokenizer  # noqa: PLC0415

        spec = find_spec("wordllama")
        package = Path(spec.origin or "").parent if spec else Path()
        try:
            tokenizer = Tokenizer.from_str((package / _TOKENIZER).read_text(encoding="utf-8"))
            table = _mapped(package / _WEIGHTS)
        except OSError as error:
            raise ConfigurationError(
                f"The word vectors of wordllama are missing ({error}). Install it again: "
                "pip install --force-reinstall wordllama"
            ) from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer, table)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row for each text, of length 1, so that a dot product is the cosine.

        A text without any known word is a row of zeros, like nothing at all.
        """
        vectors = np.zeros((len(texts), self._table.shape[1]), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            words = self._tokenizer.encode(text, add_special_tokens=False).ids
            if words:
                self._table[words].mean(axis=0, dtype=np.float32, out=row)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        vectors /= lengths
        return vectors

    def score(self, one: str, other: str) -> float:
        """The cosine of two texts, -1 to 1; about 0 for texts that have nothing in common."""
        first, second = self.embed([one, other])
        return float(first @ second)


def _mapped(weights: Path) -> NDArray[np.float16]:
    """The vectors where they lie in the file: read when used, shared by all processes.

    A safetensors file is the length of its header in 8 bytes, the header in JSON, the numbers.
    """
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))["embedding.weight"]
    offset = 8 + length + entry["data_offsets"][0]
    return np.memmap(weights, np.float16, "r", offset, tuple(entry["shape"]))


def surface_similarity(one: str, other: str) -> float:
    """How alike two texts are letter by letter, 0 to 1, whatever the order of their words."""
    return fuzz.token_sort_ratio(one.casefold(), other.casefold()) / 100
