"""Right answers as examples: what of a question is its own, and which of many to show."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from agents.checks import Check
from agents.definition import Demonstration
from agents.similarity import Similarity, Vectors
from database.learning import ExamQuestion

MAX_DEMONSTRATIONS = 12
MAX_SHOWN = 160
"""Characters of an example inside instructions; the rest rarely decides what the answer is."""

_MOST_REQUEST = 900
_MOST_ANSWER = 60
_BETWEEN = r"[\s,;/|\"'`*•\-.()\d:]*(?:\b(?:or|and)\b)?[\s,;/|\"'`*•\-.()\d:]*"
_QUOTED = re.compile(r"[\"“«](?P<text>[^\"”»]{8,})[\"”»]", re.DOTALL)

_CHECK: TypeAdapter[Check] = TypeAdapter(Check)


@dataclass(frozen=True, slots=True)
class Known:
    """A question whose right answer is known: `own` is what tells it from others of its kind."""

    question: ExamQuestion
    check: Check
    answer: str
    own: str
    labels: tuple[str, ...] = ()

    @property
    def request(self) -> str:
        """What was asked."""
        return self.question.request


def known_answers(questions: Sequence[ExamQuestion]) -> list[Known]:
    """Those whose check says what the answer is, in their order; without two of the same words."""
    found: dict[str, Known] = {}
    for question in questions:
        check = read_check(question.check)
        answer = answer_of(question.check)
        if check is None or answer is None or question.request in found:
            continue
        labels = tuple(str(label) for label in question.check.get("labels", ()))
        found[question.request] = Known(question, check, answer, question.request, labels)
    return _with_own(list(found.values()))


def read_check(body: Mapping[str, Any]) -> Check | None:
    """The check of a question, or None where it cannot be read."""
    try:
        return _CHECK.validate_python(dict(body))
    except ValidationError:
        return None


def answer_of(check: Mapping[str, Any]) -> str | None:
    """The answer that a check waits for, where it waits for one."""
    kind = check.get("kind")
    if kind in ("label", "date"):
        return str(check["expected"])
    if kind == "number":
        return f"{check['expected']:g}"
    if kind == "equals" and check.get("values"):
        return str(check["values"][0])
    return None


def _with_own(known: list[Known]) -> list[Known]:
    """Each with what is its own: without the choices and without what all of a kind begin with."""
    groups: dict[tuple[str, ...], list[Known]] = defaultdict(list)
    for one in known:
        groups[tuple(sorted(one.labels))].append(one)
    own: dict[str, str] = {}
    for labels, group in groups.items():
        texts = [without_choices(one.request, labels) for one in group]
        before = _shared(texts) if len(texts) > 2 else 0
        after = _shared([text[::-1] for text in texts]) if len(texts) > 2 else 0
        for one, text in zip(group, texts, strict=True):
            own[one.request] = _trimmed(text[before : len(text) - after]) or _trimmed(text)
    return [
        Known(one.question, one.check, one.answer, own[one.request], one.labels) for one in known
    ]


def without_choices(request: str, labels: Sequence[str]) -> str:
    """A request without the list of labels that stands in it; a quotation in it is all that counts.

    The list is the longest run of labels with nothing but marks and `or` between them.
    """
    quoted = _QUOTED.search(request)
    if quoted and len(labels) > 1:
        return quoted["text"]
    if len(labels) < 2:
        return request
    ordered = sorted(labels, key=len, reverse=True)
    one = "(?:" + "|".join(re.escape(label) for label in ordered) + ")"
    runs = re.finditer(rf"(?<!\w){one}(?:{_BETWEEN}(?<!\w){one})+(?!\w)", request, re.IGNORECASE)
    longest = max(runs, key=lambda run: run.end() - run.start(), default=None)
    if longest is None:
        return request
    left = request[: longest.start()] + " " + request[longest.end() :]
    return left if len(left.split()) > 1 else request


def _shared(texts: Sequence[str]) -> int:
    """How many characters all begin with, up to a whole word."""
    first, last = min(texts), max(texts)
    same = 0
    while same < len(first) and first[same] == last[same]:
        same += 1
    return same - len(re.split(r"[\s:?\"]", first[:same])[-1])


def _trimmed(text: str) -> str:
    return " ".join(text.split()).strip(" :?\"'“”()[]-–,;")


def shortened(text: str, most: int = MAX_SHOWN) -> str:
    """One line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def chosen(known: Sequence[Known], most: int, wrong: frozenset[str] = frozenset()) -> list[Known]:
    """At most `most` that show as much as possible: of every answer, and unlike each other.

    Those in `wrong` (ids of questions that were answered wrong) come before others. Each answer has
    its turn before any has a second one, the commonest first.
    """
    vectors = Similarity.load().embed([one.own for one in known])
    groups: dict[str, list[int]] = defaultdict(list)
    for at, one in enumerate(known):
        groups[one.answer.casefold()].append(at)
    queues = []
    for members in sorted(groups.values(), key=len, reverse=True):
        order = _spread(
            members, vectors, [known[at].question.question_id in wrong for at in members]
        )
        queues.append(order)
    taken: list[int] = []
    while queues and len(taken) < most:
        queues = [queue for queue in queues if queue]
        for queue in queues:
            if queue and len(taken) < most:
                taken.append(queue.pop(0))
    return [known[at] for at in taken]


def _spread(members: list[int], vectors: Vectors, wrong: Sequence[bool]) -> list[int]:
    """Members in an order in which each is unlike those before it; wrong ones count more."""
    own = vectors[members]
    ahead = np.array(wrong, dtype=np.float32)
    at = int((own @ own.mean(axis=0) + 2 * ahead).argmax())
    order = [at]
    nearest = own @ own[at]
    while len(order) < len(members):
        nearest[at] = np.inf
        at = int((nearest - 0.2 * ahead).argmin())
        order.append(at)
        nearest = np.maximum(nearest, own @ own[at])
    return [members[at] for at in order]


def as_demonstrations(known: Sequence[Known]) -> tuple[Demonstration, ...]:
    """Questions as earlier turns of the conversation."""
    return tuple(
        Demonstration(request=one.request[:_MOST_REQUEST], answer=one.answer[:_MOST_REQUEST])
        for one in known[:MAX_DEMONSTRATIONS]
    )


def by_answer(known: Sequence[Known], most_characters: int) -> str:
    """Lines of examples by their right answer, as many as fit, each answer getting its share.

    '' where there is nothing to gather: answers that are long, or all different.
    """
    short = [one for one in known if len(one.answer) <= _MOST_ANSWER]
    answers = {one.answer for one in short}
    if len(short) < 2 * len(answers):
        return ""
    lines: dict[str, list[str]] = {answer: [] for answer in sorted(answers)}
    left = most_characters - sum(len(answer) + 2 for answer in lines)
    for one in chosen(short, len(short)):
        text = shortened(one.own)
        if len(text) + 3 <= left:
            lines[one.answer].append(text)
            left -= len(text) + 3
    return "\n".join(f"{answer}: {' | '.join(said)}" for answer, said in lines.items() if said)
