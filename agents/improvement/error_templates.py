"""Errors as templates: what is the same in errors that differ in names and numbers (drain3)."""

import re
from collections.abc import Iterable

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

MAX_TEMPLATES = 500
"""Templates of one source that are kept apart; the one unseen for longest makes room."""

MAX_CHARACTERS = 300
"""An error is told apart by its beginning; the rest is mostly a trace or what was given."""

_ALIKE = 0.6
"""Share of words that must agree. On the tool errors of tau-bench's airline runs 0.5 and 0.6 give
the same templates; below that `not enough seats on` and `not enough balance in` become one."""

_MASKS = (
    (r"https?://\S+", "*"),
    (r"[\w.+-]+@[\w-]+\.[\w.]+", "*"),
    (r"(['\"])(?:(?!\1).){1,120}\1", "*"),
    (r"(?<!\w)[/~][\w./-]{2,}", "*"),
    (r"\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b", "*"),
    (r"\b\w*\d{3,}\w*\b", "*"),
    (r"(?<![\w])[-+$€£]?\d[\d.,:%-]*", "*"),
)

_TRANSIENT = re.compile(
    r"time.?out|timed out|took too long|temporar|rate.?limit|too many requests|"
    r"try (?:it )?(?:again|later)|unavailable|overloaded|connection|"
    r"broken pipe|network|\b(?:429|500|502|503|504)\b",
    re.IGNORECASE,
)


class ErrorTemplates:
    """Finds the template of an error; what it learned are the templates themselves."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        config = TemplateMinerConfig()
        config.drain_sim_th = _ALIKE
        config.drain_max_clusters = MAX_TEMPLATES
        config.masking_instructions = [MaskingInstruction(p, mask) for p, mask in _MASKS]
        self._miner = TemplateMiner(config=config)
        self._templates: dict[int, str] = {}
        for template in known:
            self._add(template)

    def learn(self, error: str) -> tuple[str, str]:
        """The template of `error` as it is now, and as it was before this error widened it."""
        return self._add(first_words(error))

    def _add(self, line: str) -> tuple[str, str]:
        found = self._miner.add_log_message(line)
        template = str(found["template_mined"])
        number = int(found["cluster_id"])
        before = self._templates.get(number, template)
        self._templates[number] = template
        return template, before

    def match(self, error: str) -> str | None:
        """The template of `error`, if there is one."""
        found = self._miner.match(first_words(error))
        return str(found.get_template()) if found else None

    def known(self) -> tuple[str, ...]:
        """All templates, to begin with another time."""
        return tuple(cluster.get_template() for cluster in self._miner.drain.clusters)


def first_words(error: str) -> str:
    """The beginning of an error on one line."""
    return " ".join(error.split())[:MAX_CHARACTERS]


def passes(error: str) -> bool:
    """Whether an error speaks of a fault that passes by itself."""
    return _TRANSIENT.search(error) is not None
