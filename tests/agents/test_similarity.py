import numpy as np
import pytest

from agents.similarity import Similarity, surface_similarity
from database.errors import ConfigurationError


@pytest.fixture(scope="module")
def similarity() -> Similarity:
    return Similarity.load()


def test_vectors_have_length_one_and_do_not_depend_on_their_neighbours(
    similarity: Similarity,
) -> None:
    texts = ["Reset my password", "What a very long sentence about the weather in Oslo"]
    together = similarity.embed(texts)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert together[0] == pytest.approx(similarity.embed(texts[:1])[0], abs=1e-5)


def test_like_meaning_scores_above_unlike_meaning(similarity: Similarity) -> None:
    question = "How do I reset my password?"
    alike = similarity.score(question, "I forgot my login credentials")
    assert alike > similarity.score(question, "Will it rain in Oslo tomorrow?") + 0.2


def test_nothing_is_like_nothing_else(similarity: Similarity) -> None:
    assert similarity.embed([]).shape[0] == 0
    assert similarity.embed([]).shape[1] == similarity.embed(["word"]).shape[1]
    assert similarity.score("", "word") == 0


def test_surface_similarity_ignores_case_and_order_of_words() -> None:
    assert surface_similarity("Reset my password", "password MY reset") == 1
    assert surface_similarity("Reset my password", "Rest my passwort") > 0.8
    assert surface_similarity("Reset my password", "Lunch on Friday?") < 0.5


def test_without_the_package_of_the_vectors_it_is_said_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.similarity.find_spec", lambda name: None)
    Similarity.load.cache_clear()
    with pytest.raises(ConfigurationError, match="pip install --force-reinstall wordllama"):
        Similarity.load()
