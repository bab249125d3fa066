"""Pure: reading an answer leniently, so that only what was asked is judged and not its wrapping."""

import json
import re
import unicodedata
from typing import Any

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:\n?```|\Z)", re.DOTALL)
_FENCE_LINE = re.compile(r"^\s*```.*$", re.MULTILINE)
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.)])\s+")
_NUMBER = re.compile(r"(?<![\w.,])-?[$€£]?\d+(?:,\d{3})*(?:\.\d+)?|(?<![\w.,])-?\.\d+")
_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-"})


def plain(text: str, *, cased: bool = False) -> str:
    """Lower case (unless `cased`), straight quotes and dashes, no emphasis, `1,200` as `1200`."""
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    text = text if cased else text.casefold()
    text = text.replace("**", "").replace("`", "")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    return re.sub(r"\s+", " ", text).strip()


def bare(text: str, *, cased: bool = False) -> str:
    """`plain` without the quotes, full stops and emphasis around the whole."""
    return plain(text, cased=cased).strip(" .!:;\"'*_")


def unfenced(answer: str) -> str:
    """The answer without the lines that open and close code blocks."""
    return _FENCE_LINE.sub("", answer).strip()


def code_of(answer: str) -> str:
    """The first code block, or the whole answer where there is none."""
    block = _FENCE.search(answer)
    return (block.group(1) if block else answer).strip()


def lines_of(answer: str) -> list[str]:
    """Lines that say something, without code fences."""
    return [line.strip() for line in unfenced(answer).splitlines() if line.strip()]


def unbulleted(line: str) -> str:
    """The line without its bullet or number."""
    return _BULLET.sub("", line).strip()


def words_of(answer: str) -> list[str]:
    """What counts as a word: anything between spaces with a letter or digit in it."""
    return [word for word in unfenced(answer).split() if re.search(r"\w", word)]


def numbers_of(answer: str) -> list[float]:
    """Every number in the order it is said; currency signs and thousands commas are skipped."""
    text = answer.translate(_PLAIN)
    return [float(re.sub(r"[$€£,]", "", found)) for found in _NUMBER.findall(text)]


def mentions(text: str, term: str) -> bool:
    """Whether `term` is said as whole words, in any case; a final `*` allows any ending."""
    return _position(plain(text), term) is not None


def first_mention(text: str, term: str) -> int | None:
    """Where `term` is first said in `plain(text)`, or None."""
    return _position(plain(text), term)


def _position(text: str, term: str) -> int | None:
    wanted = plain(term.removesuffix("*"))
    before = r"(?<!\w)" if wanted[:1].isalnum() else ""
    after = r"(?!\w)" if wanted[-1:].isalnum() and not term.endswith("*") else ""
    if wanted[:1].isdigit():
        before += r"(?<!\d[.,:])"
    if wanted[-1:].isdigit():
        after += r"(?![.,:]\d)"
    found = re.search(before + re.escape(wanted) + after, text)
    return found.start() if found else None


def json_of(answer: str) -> Any:
    """The JSON value in the answer, fenced or between other words. Raises ValueError."""
    text = code_of(answer)
    decoder = json.JSONDecoder()
    for start in (found.start() for found in re.finditer(r"[\[{]", text)):
        try:
            value, _ = decoder.raw_decode(text, start)
        except ValueError:
            continue
        return value
    raise ValueError("there is no JSON in the answer")
