"""What a model says, before people see it: it calls nobody, and its links hide and carry nothing.

A model repeats what it read, also what somebody hid there for it to repeat. So an answer notifies
only people that the asker named; a link says where it leads; and an address that could carry
something out (Slack may fetch what a message links to) is shown as text, unless the asker wrote it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

CALLS = ("<!channel", "<!here", "<!everyone", "<!group", "<!subteam", "<@everyone", "<@here")
"""How Slack writes a call to many, as far as it takes to tell it from other text."""

_JOINER = "\u2060"
"""No width and no line break: what is shown looks the same, and Slack reads no call in it."""

_HELD = 600
"""Characters at most that wait for their end; beyond, they are taken for ordinary text."""
_PLAIN_PATH = 80
_PLAIN_HOST = 50
"""Addresses that are longer could carry a sentence."""

_SENTENCE_END = ".,;:!?)]}'\"*_~"
_FENCE = re.compile(r" {0,3}```+([^`\n]*)$")
_CODE = re.compile(r"(?<![`\\])`[^`\n]+`(?!`)")
_ADDRESS = r"(?:https?://|www\.|(?:[a-z0-9-]{1,63}\.){1,6}[a-z]{2,24}[/?])[^\s<>|`]{0,4000}"
_TOKEN = re.compile(
    rf"(?P<code>{_CODE.pattern})"
    r"|<@(?P<person>[A-Za-z0-9]{1,40})(?:\|[^<>\n]{0,200})?>"
    r"|<(?P<target>https?://[^<>|\s]{1,4000})(?:\|(?P<name>[^<>\n]{0,500}))?>"
    r"|!?\[(?P<label>[^\[\]\n]{0,500})\]\(\s{0,3}<?"
    r"(?P<to>[^()\s<>]{1,4000}(?:\([^()\s<>]{0,200}\)[^()\s<>]{0,200})?)>?(?:\s[^()\n]{0,200})?\)"
    rf"|(?<![\w@./])(?P<address>{_ADDRESS})",
    re.IGNORECASE,
)
_UNFINISHED = re.compile(
    r"(?:<[@!#h][^<>\n]*|!?\[[^\[\]\n]*(?:\](?:\([^()\n]*)?)?|`[^`\n]*|``+[^\n]*)$"
)
_NO_NAME = re.compile(r"[^\w .'-]")
_SCHEME = re.compile(r"[a-z]+:", re.IGNORECASE)
_LIKE_ADDRESS = re.compile(
    r"(?:https?://|www\.)?((?:[a-z0-9-]+\.)+[a-z]{2,24})(?=[/:?#\s]|$)", re.IGNORECASE
)


def no_calls(text: str) -> str:
    """The same without a call to many in it."""
    if "<" in text:
        for call in CALLS:
            text = text.replace(call, f"<{_JOINER}{call[1:]}")
    return text


def _no_name(user_id: str) -> str:
    return ""


@dataclass(slots=True)
class ModelWords:
    """Passes words on piece by piece, harmless; whatever is spread over pieces is caught as well.

    `asked` are the asker's own words and id: whom they name may be notified, and an address that
    they wrote may be a link. `name_of` tells how people call somebody, '' where that is not known.
    """

    asked: str = ""
    name_of: Callable[[str], str] = _no_name
    _held: str = ""
    _in_line: bool = False
    _in_word: bool = False
    _in_fence: bool = False

    def passes(self, piece: str) -> str:
        """What may be shown now; what is not at its end yet waits for the next piece."""
        text = self._held + piece
        cut = _complete(text)
        self._held = text[cut:]
        return self._harmless(text[:cut])

    def rest(self) -> str:
        """What still waits when all has been said."""
        held, self._held = self._held, ""
        return self._harmless(held)

    def whole(self, text: str) -> str:
        """A text of its own."""
        return ModelWords(self.asked, self.name_of)._harmless(text)

    def _harmless(self, text: str) -> str:
        """What stands in a block of code is no link; calls are looked for there too."""
        lines = no_calls(text).split("\n")
        for number, line in enumerate(lines):
            fence = _FENCE.match(line) if number or not self._in_line else None
            if fence and not (self._in_fence and fence.group(1).strip()):
                self._in_fence = not self._in_fence
            elif not self._in_fence and not fence:
                begun = self._in_word and not number
                lines[number] = self._goes_on(line) if begun else self._line(line)
        if text:
            self._in_line, self._in_word = text[-1] != "\n", text[-1].isalnum()
        return "\n".join(lines)

    def _goes_on(self, line: str) -> str:
        """A line whose first word was begun before, perhaps the first word of an address."""
        word = line.split(maxsplit=1)[0] if line[:1].strip() else ""
        carries = "?" in word.rstrip(_SENTENCE_END) or "@" in word or len(word) > _PLAIN_HOST
        if carries and ("." in word or "/" in word):
            return _inert(word, coded=False) + self._line(line[len(word) :])
        return self._line(line)

    def _line(self, line: str) -> str:
        coded = "`" not in _CODE.sub("", line)

        def put(match: re.Match[str]) -> str:
            found = match.groupdict()
            if found["code"]:
                return match.group()
            if person := found["person"]:
                return self._person(person, match.group())
            if target := found["target"] or found["to"]:
                label = found["name"] or found["label"] or ""
                return self._link(label, target, match.group().removeprefix("!"), coded)
            return self._address(found["address"], coded)

        return _TOKEN.sub(put, line)

    def _person(self, user_id: str, mention: str) -> str:
        if user_id in self.asked:
            return mention
        return f"@{_NO_NAME.sub('', self.name_of(user_id)) or user_id}"

    def _link(self, label: str, target: str, link: str, coded: bool) -> str:
        if self._carries(target):
            shown = _inert(target, coded)
            return f"{label} ({shown})" if label and label != target else shown
        said = _LIKE_ADDRESS.match(label.strip())
        return target if said and said.group(1).lower() != _host(target) else link

    def _address(self, address: str, coded: bool) -> str:
        """A sentence's own end is no part of an address."""
        target = address.rstrip(_SENTENCE_END)
        if not self._carries(target):
            return address
        return _inert(target, coded) + address[len(target) :]

    def _carries(self, target: str) -> bool:
        """Whether an address could hold what somebody said, and is not the asker's own."""
        if target in self.asked:
            return False
        try:
            parts = urlsplit(target if _SCHEME.match(target) else f"//{target}")
            host = parts.hostname or ""
        except ValueError:
            return True
        if parts.scheme not in ("", "http", "https"):
            return parts.scheme != "mailto" or bool(parts.query)
        hidden = parts.query or "@" in parts.netloc
        return bool(hidden) or len(parts.path) > _PLAIN_PATH or len(host) > _PLAIN_HOST


def _complete(text: str) -> int:
    """Up to here nothing is half said: no link, mention, code or address, only perhaps a word."""
    cut = max(text.rfind(" "), text.rfind("\n")) + 1
    last = text[cut:]
    if last.isalnum() or len(last) > _HELD:
        cut = len(text)
    start = max(text.rfind("\n", 0, cut) + 1, cut - _HELD)
    for token in _TOKEN.finditer(text, start, cut):
        start = token.end()
    unfinished = _UNFINISHED.search(text, start, cut)
    return unfinished.start() if unfinished else cut


def _inert(target: str, coded: bool) -> str:
    """An address that is no link: as code, or where code would not be that, broken unseen."""
    if coded:
        return f"`{target}`"
    return target.replace("://", f":{_JOINER}//").replace(".", f"{_JOINER}.")


def _host(target: str) -> str:
    try:
        return urlsplit(target if _SCHEME.match(target) else f"//{target}").hostname or ""
    except ValueError:
        return ""
