"""Where agents worked, and so who may be told of them."""

from collections.abc import Mapping, Sequence

from database.records import PUBLIC, Document, Run

_MOST = 3
_MOST_AGENTS = 500


class Places:
    """The audiences of each agent's runs: the first few of them, which is all that matters."""

    def __init__(self, state: Mapping[str, Sequence[str]] | None) -> None:
        self._of = {agent: list(places) for agent, places in (state or {}).items()}

    def note(self, run: Run) -> None:
        """Where a run was asked for."""
        places = self._of.pop(run.agent, [])
        self._of[run.agent] = places  # the last is the one that worked last
        if run.audience not in places and len(places) < _MOST:
            places.append(run.audience)

    def audience_of(self, agent: str, document: Document | None = None) -> str:
        """Who may see its counts: those who may know of it, or were at the one private place that
        all its runs are from. '' is nobody: it is gone, and was seen in private places only.
        """
        places = self._of.get(agent, [])
        if document is not None and document.audience != PUBLIC:
            return document.audience
        if len(places) == 1:
            return places[0]
        return PUBLIC if document is not None or PUBLIC in places else ""

    def as_json(self) -> dict[str, list[str]]:
        """What to remember."""
        return dict(list(self._of.items())[-_MOST_AGENTS:])
