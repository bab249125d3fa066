"""Pure: which of the exam's questions may be asked, so that no one person decides what is right.

Whose word a question rests on is its `user_id`. What two people told differently of the same
request is asked by nobody until more people say the one than all others together. And of one
agent's requests of a kind, a person's questions are as many as all others' together, or twenty
where others told fewer: so many show a large effect, and from then on nobody outweighs the rest.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

import orjson

from agents.checks.stated import questions_alike
from database.learning import ExamQuestion

MOST_OF_ONE = 20
"""Questions that rest on one person's word where others told fewer."""
READ_AT_ONCE = 1_000
"""Questions that are read to find those that may be asked: one person cannot crowd out the rest."""


def fair(questions: Sequence[ExamQuestion]) -> list[ExamQuestion]:
    """Those that may be asked, in the given order (newest first)."""
    agreed = {q.question_id for group in _by_request(questions) for q in _agreed(group)}
    return _bounded([q for q in questions if q.question_id in agreed])


def contested(questions: Sequence[ExamQuestion]) -> list[ExamQuestion]:
    """The newest asking of each request whose right answer people disagree about."""
    return [group[0] for group in _by_request(questions) if not _agreed(group)]


def _by_request(questions: Sequence[ExamQuestion]) -> Collection[Sequence[ExamQuestion]]:
    found: dict[str, list[ExamQuestion]] = defaultdict(list)
    for question in questions:
        found[questions_alike(question.request)].append(question)
    return found.values()


def answer_key(question: ExamQuestion) -> bytes:
    """The same for the same right answer."""
    return orjson.dumps(dict(question.check), option=orjson.OPT_SORT_KEYS)


def _agreed(group: Sequence[ExamQuestion]) -> list[ExamQuestion]:
    """The askings of one request whose answer most people tell; each person's newest counts."""
    last: dict[str | None, bytes] = {}
    for question in group:
        last.setdefault(question.user_id, answer_key(question))
    answer, people = Counter(last.values()).most_common(1)[0]
    if 2 * people <= len(last):
        return []
    return [question for question in group if answer_key(question) == answer]


def _bounded(questions: Sequence[ExamQuestion]) -> list[ExamQuestion]:
    """Of each person's the newest, as many as they may have."""
    kinds = Counter((q.agent, q.task_type) for q in questions)
    theirs = Counter((q.agent, q.task_type, q.user_id) for q in questions)
    taken: Counter[tuple[str, str | None, str | None]] = Counter()
    kept = []
    for question in questions:
        kind = question.agent, question.task_type
        person = *kind, question.user_id
        taken[person] += 1
        if taken[person] <= max(MOST_OF_ONE, kinds[kind] - theirs[person]):
            kept.append(question)
    return kept
