"""Pure: checks that read the answer's words, numbers, lines and JSON."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agents.checks.reading import (
    bare,
    first_mention,
    json_of,
    lines_of,
    mentions,
    numbers_of,
    unbulleted,
    unfenced,
    words_of,
)

Term = str | tuple[str, ...]
"""A word or phrase, or several of which one is enough; a final `*` allows any ending."""


def _variants(term: Term) -> tuple[str, ...]:
    return (term,) if isinstance(term, str) else term


def _says(text: str, term: Term) -> bool:
    return any(mentions(text, variant) for variant in _variants(term))


class _Check(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ContainsAll(_Check):
    """Every term is said."""

    kind: Literal["contains_all"]
    terms: Annotated[tuple[Term, ...], Field(min_length=1)]

    def problem(self, answer: str) -> str | None:
        """What is missing, or None."""
        missing = [_variants(term)[0] for term in self.terms if not _says(answer, term)]
        return f"does not say {', '.join(missing)}" if missing else None


class ContainsNone(_Check):
    """None of the terms is said."""

    kind: Literal["contains_none"]
    terms: Annotated[tuple[str, ...], Field(min_length=1)]

    def problem(self, answer: str) -> str | None:
        """What should not be there, or None."""
        said = [term for term in self.terms if mentions(answer, term)]
        return f"says {', '.join(said)}" if said else None


class Equals(_Check):
    """The answer is one of these, but for quotes, the final stop and (unless `cased`) case."""

    kind: Literal["equals"]
    values: Annotated[tuple[str, ...], Field(min_length=1)]
    cased: bool = False

    def problem(self, answer: str) -> str | None:
        """How the answer differs, or None."""
        given = bare(unfenced(answer), cased=self.cased)
        if given in {bare(value, cased=self.cased) for value in self.values}:
            return None
        return f"is not {self.values[0]!r}"


class Label(_Check):
    """The answer names one of the labels, and it is the expected one."""

    kind: Literal["label"]
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    expected: str

    def problem(self, answer: str) -> str | None:
        """Which labels were named instead, or None."""
        named = [label for label in self.labels if mentions(answer, label)]
        if named == [self.expected]:
            return None
        return f"names {', '.join(named) or 'no label'}, not {self.expected}"


class Number(_Check):
    """The last number in the answer; what comes before it is working."""

    kind: Literal["number"]
    expected: float
    tolerance: Annotated[float, Field(ge=0)] = 1e-9

    def problem(self, answer: str) -> str | None:
        """Which number was given instead, or None."""
        numbers = numbers_of(answer)
        if not numbers:
            return "gives no number"
        wrong = abs(numbers[-1] - self.expected) > self.tolerance + 1e-9
        return f"gives {numbers[-1]:g}, not {self.expected:g}" if wrong else None


class Date(_Check):
    """The last YYYY-MM-DD in the answer; what comes before it is working."""

    kind: Literal["date"]
    expected: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]

    def problem(self, answer: str) -> str | None:
        """Which date was given instead, or None."""
        dates = re.findall(r"(?<!\d)\d{4}-\d\d-\d\d(?!\d)", answer)
        if not dates:
            return "gives no date as YYYY-MM-DD"
        return None if dates[-1] == self.expected else f"gives {dates[-1]}, not {self.expected}"


class _Amount(_Check):
    min: Annotated[int, Field(ge=1)] = 1
    max: int | None = None

    def _outside(self, amount: int, unit: str) -> str | None:
        if amount < self.min:
            return f"has {amount} {unit}, fewer than {self.min}"
        if self.max is not None and amount > self.max:
            return f"has {amount} {unit}, more than {self.max}"
        return None


class Words(_Amount):
    """So many words."""

    kind: Literal["words"]

    def problem(self, answer: str) -> str | None:
        """By how much the length is wrong, or None."""
        return self._outside(len(words_of(answer)), "words")


class Chars(_Amount):
    """So many characters, spaces included."""

    kind: Literal["chars"]

    def problem(self, answer: str) -> str | None:
        """By how much the length is wrong, or None."""
        return self._outside(len(unfenced(answer)), "characters")


class LineCount(_Amount):
    """So many lines that say something."""

    kind: Literal["line_count"]

    def problem(self, answer: str) -> str | None:
        """By how much the count is wrong, or None."""
        return self._outside(len(lines_of(answer)), "lines")


class Lines(_Check):
    """Exactly these lines, whatever bullets or numbers are in front."""

    kind: Literal["lines"]
    expected: Annotated[tuple[str, ...], Field(min_length=1)]
    cased: bool = False

    def problem(self, answer: str) -> str | None:
        """The first difference, or None."""
        lines = lines_of(answer)
        if len(lines) != len(self.expected):
            return f"has {len(lines)} lines, not {len(self.expected)}"
        for given, wanted in zip(lines, self.expected, strict=True):
            readings = {bare(text, cased=self.cased) for text in (given, unbulleted(given))}
            if bare(wanted, cased=self.cased) not in readings:
                return f"says {given!r}, not {wanted!r}"
        return None


class Pattern(_Check):
    """The pattern is found in the answer, or (`absent`) is not."""

    kind: Literal["pattern"]
    pattern: str
    absent: bool = False

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    def problem(self, answer: str) -> str | None:
        """That the pattern is there or is not, or None."""
        found = re.search(self.pattern, unfenced(answer), re.MULTILINE) is not None
        if found is not self.absent:
            return None
        return f"{'matches' if found else 'does not match'} {self.pattern}"


class Order(_Check):
    """The terms are first said in this order."""

    kind: Literal["order"]
    terms: Annotated[tuple[Term, ...], Field(min_length=2)]

    def problem(self, answer: str) -> str | None:
        """Which term is missing or too early, or None."""
        last = -1
        for term in self.terms:
            found = [first_mention(answer, variant) for variant in _variants(term)]
            places = [place for place in found if place is not None]
            if not places:
                return f"does not say {_variants(term)[0]}"
            if min(places) <= last:
                return f"says {_variants(term)[0]} too early"
            last = min(places)
        return None


class Rows(_Check):
    """One line an expected row, its cells divided by `separator`.

    A cell holds (`exact`: is) the expected term. A first line made of `header` and Markdown's
    dashed line are skipped.
    """

    kind: Literal["rows"]
    rows: Annotated[tuple[tuple[Term, ...], ...], Field(min_length=1)]
    separator: str = "|"
    header: tuple[str, ...] = ()
    exact: bool = False
    ordered: bool = False

    def problem(self, answer: str) -> str | None:
        """The row that is missing, or None."""
        given = self._given(answer)
        if len(given) != len(self.rows):
            return f"has {len(given)} rows, not {len(self.rows)}"
        for position, row in enumerate(self.rows):
            candidates = given[position : position + 1] if self.ordered else given
            if not any(self._fits(cells, row) for cells in candidates):
                return f"has no row {[_variants(term)[0] for term in row]}"
        return None

    def _given(self, answer: str) -> list[list[str]]:
        rows = []
        for line in lines_of(answer):
            cells = unbulleted(line).strip("|" if self.separator == "|" else "")
            if re.fullmatch(r"[\s|:-]*", cells):
                continue
            rows.append([cell.strip() for cell in cells.split(self.separator)])
        wanted = [bare(name) for name in self.header]
        if rows and wanted and [bare(cell) for cell in rows[0]] == wanted:
            rows.pop(0)
        return rows

    def _fits(self, cells: Sequence[str], row: Sequence[Term]) -> bool:
        return len(cells) == len(row) and all(map(self._cell_fits, cells, row))

    def _cell_fits(self, cell: str, term: Term) -> bool:
        if self.exact:
            return any(bare(cell) == bare(variant) for variant in _variants(term))
        return _says(cell, term)


class JsonFields(_Check):
    """One JSON object with exactly these keys and values.

    A list of values under `{"any": [...]}` leaves a choice; text is compared as `equals` does.
    """

    kind: Literal["json_fields"]
    fields: Annotated[dict[str, Any], Field(min_length=1)]

    def problem(self, answer: str) -> str | None:
        """The first key that is missing, too many or wrong, or None."""
        try:
            given = json_of(answer)
        except ValueError as error:
            return str(error)
        if not isinstance(given, dict) or set(given) != set(self.fields):
            keys = sorted(given) if isinstance(given, dict) else type(given).__name__
            return f"has {keys}, not the keys {sorted(self.fields)}"
        wrong = [key for key, value in self.fields.items() if not _same(given[key], value)]
        return f"{wrong[0]} is {given[wrong[0]]!r}" if wrong else None


class JsonEquals(_Check):
    """The whole JSON value; text is compared as `equals` does."""

    kind: Literal["json_equals"]
    value: Any

    def problem(self, answer: str) -> str | None:
        """That the value differs, or None."""
        try:
            given = json_of(answer)
        except ValueError as error:
            return str(error)
        return None if _same(given, self.value) else f"is {given!r}"


def _same(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and set(wanted) == {"any"}:
        return any(_same(given, choice) for choice in wanted["any"])
    if isinstance(wanted, dict):
        return (
            isinstance(given, dict)
            and set(given) == set(wanted)
            and all(_same(given[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return (
            isinstance(given, list) and len(given) == len(wanted) and all(map(_same, given, wanted))
        )
    if isinstance(wanted, str):
        return isinstance(given, str) and bare(given) == bare(wanted)
    if isinstance(wanted, bool) or wanted is None:
        return given is wanted
    return isinstance(given, int | float) and not isinstance(given, bool) and given == wanted


TextCheck = (
    ContainsAll
    | ContainsNone
    | Equals
    | Label
    | Number
    | Date
    | Words
    | Chars
    | LineCount
    | Lines
    | Pattern
    | Order
    | Rows
    | JsonFields
    | JsonEquals
)
