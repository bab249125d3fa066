"""Which different pieces of work a request asks for, read from its own words (English).

A piece is a clause that begins with a verb of work and has an object: "compare three vendors". What
is quoted, what stands below a text that is to be worked on, and questions hold none.
"""

import re
from collections.abc import Sequence

_WORK = (
    r"anal[yi][sz]e|assess|audit|benchmark|brainstorm|calculate|collect|compare|compile|compute|"
    r"create|define|design|determine|develop|document|draft|estimate|evaluate|examine|find out|"
    r"gather|go through|identify|investigate|look (?:at|into)|map(?: out)?|organi[sz]e|outline|"
    r"plan|prepare|prioriti[sz]e|produce|propose|put together|rank|recommend|research|review|"
    r"schedule|sketch(?: out)?|suggest|summari[sz]e|survey|translate|weigh|work out|"
    r"write(?: up| down)?|build|choose|decide|select|group|adapt|clean up|measure|model|score|rate"
)
_LIGHT = (
    r"assign|check|find|give|list|make|set up|sort out|test|verify|name|do|pick|update|add|"
    r"collate|cut|explain|extract|rewrite|turn"
)
_VERB = re.compile(rf"(?P<verb>{_WORK}|{_LIGHT})\b\s+(?P<rest>\S+.*)", re.IGNORECASE | re.DOTALL)
_HEAVY = re.compile(rf"(?:{_WORK})\b", re.IGNORECASE)

_LEAD = re.compile(
    r"^(?:(?:please|kindly|and|then|also|next|finally|lastly|first(?:ly)?|second(?:ly)?|thirdly|"
    r"after(?:wards| that)|from (?:that|this|those|it)|in the end|now|hi|hey|hello|so|"
    r"(?:can|could|would|will) you(?: please)?|help (?:me|us)(?: to)?|let'?s|let us|"
    r"(?:i|we)(?:'d like| would like| want| need| have)(?: you)? to|you (?:should|could|can)|"
    r"i(?:'d| would) like you to|to|[-*•–]|\(?\d{1,2}[.)])\s*[,:]?\s+)+",
    re.IGNORECASE,
)
_MATERIAL = re.compile(r"```.*?```|\"[^\"]*\"|“[^”]*”|«[^»]*»|^\s*>.*?$", re.DOTALL | re.MULTILINE)
_COLON = re.compile(r":(?=\s)")
_OPENS_LIST = re.compile(
    rf"\b(?:{_WORK}|launch|goal|steps?|following|these|project|help|do|please|need|want|get|"
    r"sort out|set up|migrate|move)\b",
    re.IGNORECASE,
)
_WORKS_ON = re.compile(
    r"^(?:turn|translate|summari[sz]e|rewrite|rephrase|shorten|proofread|extract|sort(?! out)|"
    r"remove|list|format|explain|fix|read|correct|classify|convert|make|note|fyi|remind|reply|answer|put|tell|"
    r"send|post|who|what|find|get|give|number)\b",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"^(?:how|what|why|who|whom|whose|when|where|which|is|are|was|were|do i|do we|does|did|should|"
    r"remind|she|he|they|i|we (?!need|want|have to|would)|is it|can i|may i)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\b\d\.)\s+|\n+")
_CLAUSE = re.compile(
    r"(\s*(?:,(?!\d)|;)\s*(?:and\s+|then\s+)*|\s+and\s+(?:then\s+|finally\s+)?|\s+then\s+|"
    r"\s+(?=\d{1,2}[.)]\s))"
)
_CHOICES = re.compile(r"^\s*\(?[A-E][.)]\s", re.MULTILINE)
_MAKES = re.compile(
    r"(?:write(?: up| down)?|draft|prepare|create|make|produce|propose|suggest|compile|design|"
    r"outline|develop|compose|give|list|put together)\s+(?:(?:me|us)\s+)?",
    re.IGNORECASE,
)
_THING = re.compile(
    r"(?:an?|the|some|one|two|three|four|five|six|seven|eight|nine|ten|\d+|our|my|its|their)\s+\w",
    re.IGNORECASE,
)
_NEW_THING = re.compile(
    r"(?:an?|some|one|two|three|four|five|six|seven|eight|nine|ten|\d+)\s+\w", re.IGNORECASE
)
_PREPOSITION = re.compile(
    r"\b(?:to|of|for|about|with|between|from|on|in|by|against|among|over)\b", re.IGNORECASE
)
_COMMA = re.compile(r"\s*,\s+(?:and\s+)?", re.IGNORECASE)
_LAST = re.compile(r"\s+and\s+(?=(?:an?|the)\s)", re.IGNORECASE)
_LEAST_THINGS = 3

_READ = 3_000
_ENDS = " .!?;,:"


def pieces(request: str) -> tuple[str, ...]:
    """The pieces of work of a request in its own words, in their order; each is told once."""
    found: dict[str, None] = {}
    if len(_CHOICES.findall(request[:_READ])) > 1:
        return ()  # a question with its possible answers
    for sentence in _sentences(_own_words(request)):
        found |= dict.fromkeys(_of_sentence(sentence))
    return tuple(found)


def spread(piece: str) -> tuple[str, ...]:
    """A piece that asks for several things under one verb ("write a letter, a list and a note").

    Each of at least three becomes a piece with that verb; anything else stays whole, since what is
    compared or chosen from belongs together, and so may what follows a preposition: "a note to the
    sales team, the support team and the board" is one note.
    """
    verb = _MAKES.match(piece)
    if verb is None:
        return (piece,)
    *first, last = _COMMA.split(piece[verb.end() :])
    things = [*first, *(_LAST.split(last) if first else [last])]
    alone = all(map(_THING.match, things)) and _own_things(things)
    if len(things) < _LEAST_THINGS or not alone:
        return (piece,)
    return tuple(f"{verb[0]}{thing}" for thing in things)


def _own_things(things: Sequence[str]) -> bool:
    """Whether later things go with the verb and not with a preposition of the first.

    "A letter to Ann, a list and a note" is three things: what is new has "a" or a number, and what
    belongs to something said before has "the".
    """
    return not _PREPOSITION.search(things[0]) or all(map(_NEW_THING.match, things[1:]))


def heavy(piece: str) -> bool:
    """Whether a piece is work by itself (compare, draft), not only a light verb (make, list)."""
    return _HEAVY.match(piece) is not None


def _of_sentence(sentence: str) -> list[str]:
    """Its pieces; what is no piece by itself ("and a mail") belongs to the one before."""
    made: list[str] = []
    split = ["", *_CLAUSE.split(sentence)]
    for between, clause in zip(split[::2], split[1::2], strict=True):
        piece = _LEAD.sub("", clause.strip()).strip(_ENDS)
        if _is_piece(piece):
            made.append(piece)
        elif made and piece:
            made[-1] += f"{between}{piece}"
    return made


def _is_piece(clause: str) -> bool:
    return _VERB.fullmatch(clause) is not None


def _own_words(request: str) -> str:
    """The request without what it is about: quotations, and what follows "turn this into ...:"."""
    text = _MATERIAL.sub(" ", request[:_READ])
    colon = _COLON.search(text)
    if colon is None:
        return text
    head = _LEAD.sub("", text[: colon.start()].strip())
    last = _SENTENCE.split(head)[-1]
    if _WORKS_ON.match(last) or not _OPENS_LIST.search(last):
        return text[: colon.start()]
    after = text[colon.end() :]
    if len(_of_sentence(_SENTENCE.split(after.strip())[0])) > 1:
        return f"{head.removesuffix(last)} {after}"  # what the list is for is no piece itself
    return f"{text[: colon.start()]}. {after}"


def _sentences(text: str) -> list[str]:
    """Sentences and lines that ask for something, without questions and what people told."""
    said = [sentence.strip() for sentence in _SENTENCE.split(text)]
    return [one for one in said if one and not _ASKED.match(_LEAD.sub("", one))]
