"""What people say about a plan in its thread: "how is it going?", "skip step 3", "add a step ...".

Only whole messages count, and only in the thread of a plan: whatever is not clearly one of these is
an ordinary message. Each pattern takes time in proportion to the text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from goals.plain_words import agrees
from slack_interface.polite import Wording, single_spaced
from slack_interface.typed import is_stop

Act = Literal["status", "start", "cancel", "skip", "model", "change", "answer", "results", "either"]
"""either: an answer to what a step asks or a word about the plan, which its person has to say."""
Model = Literal["fast", "strong"]

MOST_CHARS = 2_000
"""A longer message is no word about a plan; so long may a wish be."""
MOST_SAID = 200
"""What holds no wish, answer or reason is shorter."""
MOST_AGREED = 100
LAST = -1
"""In place of a number: the last step."""


@dataclass(frozen=True, slots=True)
class GoalWord:
    """What is wanted: `numbers` are steps, `words` the wish, the answer or the reason.

    "skip it" has no numbers: what waits is meant. `sure` is False where the words are as good an
    answer to what a step asks ("the cheaper one").
    """

    act: Act
    numbers: tuple[int, ...] = ()
    words: str = ""
    model: Model = field(default="fast")
    sure: bool = True


_ORDINALS = {
    name: number
    for number, names in enumerate(
        ("first 1st", "second 2nd", "third 3rd", "fourth 4th", "fifth 5th", "sixth 6th",
         "seventh 7th", "eighth 8th", "ninth 9th", "tenth 10th"),
        start=1,
    )
    for name in names.split()
} | {"last": LAST, "final": LAST}  # fmt: skip
_NUMBERS = {
    name: number
    for number, name in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
         "twelve"),
        start=1,
    )
}  # fmt: skip

_ONE = rf"(?:\d{{1,3}}|(?:{'|'.join(_NUMBERS)})\b)"
_KIND = r"(?:(?:steps?|tasks?|numbers?|no\.?|nr\.?) ?#?|#)"
_AND = rf" ?(?:,(?: and)?|&|\band\b|\bto\b|-) ?(?:the )?(?:{_KIND} ?)?"
_LIST = rf"{_ONE}(?:{_AND}{_ONE})*"
_NTH = rf"(?:{'|'.join(_ORDINALS)})"
_NTHS = rf"{_NTH}(?:(?: ?,| and|,? and)(?: the)? {_NTH})* (?:steps?|tasks?|ones?)"


def _step(name: str) -> str:
    """A pattern for steps that are called steps; `name` is its group."""
    return rf"(?:the )?(?P<{name}>{_KIND} ?{_LIST}|{_NTHS})"


_WORK = r"(?:whole |entire )?(?:plan|goal|work|task|job|request|thing|run|project)"
_WHOLE = (
    rf"(?:it|this|that|everything|all(?: of (?:it|this|them))?|(?:the|this|that|your) {_WORK}"
    r"|all (?:of )?the (?:steps|tasks|work))"
)
_GOING = r"(?:going|coming(?: along| on)?|doing|looking|progressing|getting (?:on|along))"
_DONE = r"(?:done|ready|finished|complete)"
_TELL = r"(?:give|show|tell|send|get) (?:me|us) "

_STATUS = (
    rf"how(?:'s| is| are| goes) (?:it|this|that|things|everything|the {_WORK}) ?{_GOING}?"
    r"(?: so far)?"
    rf"|how are we (?:doing|getting (?:on|along))(?: with {_WHOLE})?(?: so far)?"
    rf"|how are you (?:getting (?:on|along)|coming along|doing with {_WHOLE})(?: with {_WHOLE})?"
    r"|how much (?:longer|more)|how (?:far|long)(?: (?:along|far|more|still))?"
    r"(?: (?:are (?:you|we)|is (?:it|this)|have you (?:got|come)|will (?:it|this|that) take))?"
    r"(?: still)?(?: left)?"
    rf"|(?:what(?:'s| is) |{_TELL})?(?:(?:the|an?|any|your) )?(?:(?:current|latest|quick|short) )*"
    rf"(?:status|progress|state of (?:things|play|{_WHOLE}))(?: (?:update|report|check))?"
    rf"(?: (?:of|on|for|with) {_WHOLE}| here)?(?: so far)?"
    rf"|(?:(?:what(?:'s| is) |{_TELL})?(?:(?:the|an?|any|some) )?(?:(?:latest|quick|short) )*"
    r"updates?"
    rf"|(?:any|what(?:'s| is) the|{_TELL}(?:the|any|some)) (?:latest )?news)"
    rf"(?: (?:on|of|about) {_WHOLE})?(?: so far)?"
    rf"|what(?:'s| is) (?:going on|happening|the latest|left|still open)(?: with {_WHOLE}| here)?"
    rf"|where (?:are (?:we|you)|is it|do (?:we|you|things) stand|does it stand)"
    rf"(?: (?:with|on) {_WHOLE}| at)?"
    r"|what are you (?:doing|at|working on)|(?:which|what) step are (?:you|we) (?:on|at)"
    rf"|(?:are (?:you|we)|is (?:it|this|the {_WORK}|everything))"
    rf" (?:still (?:running|working|going|at it)|on track|{_DONE})(?: yet)?"
    rf"|(?:{_DONE} yet|still (?:running|working|going))"
    rf"|when (?:will|is) (?:it|this|that|the {_WORK}|everything) (?:be )?{_DONE}"
    rf"|{_TELL}(?:how (?:it|this|the {_WORK})(?:'s| is) {_GOING}|where (?:we|you) (?:are|stand)"
    r"|how far (?:you are|it is|we are))"
    r"|show (?:(?:me|us) )?the plan"
)
_YESES = re.compile(
    r"^(?:(?:yes|yep|yeah|sure|great|perfect|fine|good|of course|ok|okay|please)\b[ ,.!]*)+",
    re.IGNORECASE,
)
_START = (
    r"(?:start|begin|go(?: ahead| for it| on)?|run|do|proceed|launch|continue|carry on"
    rf"|get (?:going|started)|kick off)(?:(?: with)? {_WHOLE})?"
)
_CANCEL = (
    rf"(?:stop|cancel|abort|end|halt|drop|forget(?: about)?|kill|quit|scrap|terminate) {_WHOLE}"
    rf"|stop (?:working on|doing|running) {_WHOLE}|stop (?:here|working|working here|running)"
    rf"|never ?mind {_WHOLE}|call (?:it|this|that) off|call off {_WHOLE}"
    r"|(?:do not|don't|never) (?:do|start|run|begin|continue|go on|proceed|carry on)"
    rf"(?:(?: with)? {_WHOLE})?"
    rf"|i (?:don't|do not) (?:want|need) {_WHOLE}(?: any ?more| any longer)"
)
_NOT_NEEDED = (
    r"(?: (?:is|are)(?:n't| not) (?:needed|necessary)| can be (?:skipped|left out|dropped))"
)
_SKIP = (
    rf"(?:(?:skip(?: over)?|omit|drop|remove|delete|leave out|go on without|do without|without"
    rf"|(?:ignore|forget(?: about)?|cancel|stop|cut)(?= (?:the )?(?:{_KIND}|{_NTH} ))) "
    rf"(?:(?P<bare>{_LIST})|{_step('steps')})"
    rf"|(?:do not|don't) (?:do|run|start|carry out|bother with) {_step('undone')}"
    rf"|leave (?:out )?{_step('out')} out"
    rf"|(?:(?:(?:we|you|i) )?(?:do not|don't) need|(?:there(?:'s| is) )?no need)(?: (?:to do|for))?"
    rf" {_step('unneeded')}"
    rf"|{_step('subject')}{_NOT_NEEDED}"
    r"|(?P<asking>skip (?:it|this|that)(?: (?:step|task|question|one))?))"
    r"(?: for now| altogether| completely| as well)?(?:,? please)?"
    rf"(?:(?: ?[,:;](?! ?(?:and |the |{_KIND} ?)*{_ONE})| because| as| since)"
    r"(?P<why> ?.{1,300}))?"
)
_TOO = (
    r"(?: (?:from (?:now|here) on(?:wards?)?|from this point(?: on)?|instead|for now"
    rf"|for (?:the rest(?: of {_WHOLE})?|what is left|what's left|the (?:remaining|other) steps"
    rf"|{_WHOLE})))*"
)
_MODEL = (
    r"(?:(?:use|try|take|choose|pick|prefer|(?:switch|change)(?: over)? to|go (?:on )?with"
    r"|(?:continue|carry on) with|(?:run|do) (?:it|this|the rest|everything) (?:with|on)|with) )"
    r"(?:(?:the|an?|your) )?"
    r"(?P<kind>(?:less expensive|more (?:powerful|capable|expensive)|inexpensive|cheap(?:er|est)?"
    r"|fast(?:er|est)?|quick(?:er|est)?|small(?:er|est)?|light(?:er)?|strong(?:er|est)?|better"
    r"|best|big(?:ger|gest)?|large(?:r|st)?|smart(?:er|est)?|powerful|good|slow(?:er)?))"
    rf" (?P<what>model|one|llm){_TOO}(?: (?:for|in|on) {_step('steps')}{_TOO})?"
)
_STRONG = ("strong", "bett", "best", "big", "larg", "smart", "good", "slow", "more", "power")
_A = r"(?:an?|one|another|one more|two|three|four|some|a few|[2-9])"
_NO_NAME = r"(?!(?:to|in|into|of|for|on|with|about|after|before|from|at|by|as|and|the|that)\b)"
_NEW_STEP = rf"(?:{_A} )?(?:{_NO_NAME}[\w'-]{{1,30}} ){{0,3}}(?:steps?|tasks?)"
_CHANGE = (
    r"change(?: the plan| it)? ?[:,] ?(?P<wish>.+)"
    rf"|(?:add|insert|append|include|put in) {_NEW_STEP}\b.*"
    rf"|(?:i|we|you) need {_A} (?:(?:more|extra|further) )?(?:steps?|tasks?) (?:that|which|to) .+"
    r"|(?:add|include) .{1,1500} (?:to the plan|as (?:a|an|another) (?:\w{1,12} )?(?:step|task))"
    r"|(?:change|replace|swap|move|split|merge|redo|rewrite) (?:the )?(?:steps?|tasks?)\b.+"
    r"|change the plan\b.+|(?:steps?|tasks?) ?#?\d{1,3} (?:should|must|needs to)\b.+"
    r"|(?:do|put) step ?#?\d{1,3} (?:before|after|first|last)\b.*"
)
_SAYS_NOTHING = re.compile(
    rf"\w+ (?:in )?(?:{_A} )?(?:(?:new|more|extra|further|other|final|last|quick) )*"
    r"(?:steps?|tasks?)\W*",
    re.IGNORECASE,
)
_ANSWER = (
    rf"(?:answer(?: (?:to|for))? ?)?(?:step|task) ?#?(?P<number>{_ONE}) ?[:=] ?(?P<text>.+)"
    r"|answer ?: ?(?P<only>.+)"
)
_RESULTS = (
    rf"(?:show|give|tell)(?: me)? (?:the )?results?(?: (?:of|from|so far) ?(?:{_step('of')})?)?"
    r"|(?:the )?results?(?: so far)?"
    r"|what (?:did|does|has) (?:the )?step ?#?(?P<said>\d{1,3})"
    r" (?:say|find(?: out)?|found|give|come to|bring|done)"
    r"|show(?: me)? step ?#?(?P<shown>\d{1,3})"
)
_LIKE: tuple[tuple[Act, str], ...] = (
    ("cancel", "stop|cancel|abort|halt|quit"),
    ("skip", rf"skip|omit|(?:ignore|leave out|(?:do not|don't) do|without) (?:the )?{_KIND}"),
    ("change", rf"(?:add|insert|append) {_NEW_STEP}|change the plan"),
    ("model", r"(?:use|switch to|take|try|go with) (?:[\w'-]{1,20} ){1,4}(?:model|llm)"),
)


def goal_word(text: str) -> GoalWord | None:
    """What a message in the thread of a plan asks for; None where it is an ordinary message."""
    if not text.strip() or len(text) > MOST_CHARS:
        return None
    if is_stop(text):
        return GoalWord("cancel")
    said = Wording.of(text)
    for pattern, read in _PATTERNS:
        found = pattern.fullmatch(said.bare or said.asked)
        if found and (word := read(found, said)):
            return word
    if len(said.bare) > MOST_SAID:
        return None
    begun = Wording.of(_YESES.sub("", single_spaced(text))).bare
    if yes_or_no(text) or _STARTED.fullmatch(begun):
        return GoalWord("start")
    return None


def begins_like(text: str) -> Act | None:
    """What a message that is no word about a plan begins like."""
    asked = Wording.of(text[:MOST_SAID]).asked
    return next((act for act, like in _BEGINS if like.match(asked)), None)


def yes_or_no(text: str) -> bool | None:
    """Whether somebody agrees; None where the words are neither, or ask back."""
    if len(text) > MOST_CHARS or len(said := single_spaced(text)) > MOST_AGREED or "?" in said:
        return None
    parts = [part for part in re.split("[,.!;]", said) if part.strip()]
    heard = {_agreed(part) for part in parts if not _only_polite(part)}
    return heard.pop() if len(heard) == 1 else None


def _agreed(part: str) -> bool | None:
    bare = Wording.of(part).bare.lower()
    if bare in _MORE:
        return _MORE[bare]
    return agrees(bare or part)


def _only_polite(part: str) -> bool:
    return not Wording.of(part).bare and agrees(part) is None


_MORE: Mapping[str, bool | None] = {
    **dict.fromkeys(("try again", "try it again", "carry on", "keep going", "lgtm", "approve",
                     "looks good", "looks good to me", "sounds good", "fine by me",
                     "fine with me", "that's fine", "that's ok", "i agree"), True),
    **dict.fromkeys(("never mind", "nevermind", "no way", "i'd rather not", "end it", "quit",
                     "abort", "don't go on", "don't continue"), False),
    "not now": None,
}  # fmt: skip
"""What answers whether a plan may go on, beyond a plain yes or no; who says "not now" may want it
later."""


def _numbers(text: str) -> tuple[int, ...]:
    """Numbers and words for them, "2 to 4" with what is between."""
    found: list[int] = []
    to = False
    for word in re.findall(r"\d{1,3}|[a-z]+(?:\d)?|-", text.lower()):
        number = _NUMBERS.get(word, int(word) if word.isdigit() else 0)
        if number and to and found:
            found += range(found[-1] + 1, number)
        found += [number] if number else []
        to = word in ("to", "-")
    return tuple(found)


def _steps(found: re.Match[str]) -> tuple[int, ...]:
    """The steps that a match names."""
    groups = found.groupdict()
    named = next(filter(None, (groups.get(name) for name in _NAMES_STEPS)), "")
    ordinals = [_ORDINALS[word] for word in re.findall(r"\w+", named.lower()) if word in _ORDINALS]
    return tuple(dict.fromkeys(ordinals or _numbers(named)))


_NAMES_STEPS = (
    "bare", "steps", "undone", "out", "unneeded", "subject", "of", "said", "shown", "number",
)  # fmt: skip


def _skip(found: re.Match[str], said: Wording) -> GoalWord | None:
    why = said.own(found.start("why")) if found["why"] else ""
    return GoalWord("skip", _steps(found), why)


def _model(found: re.Match[str], said: Wording) -> GoalWord | None:
    strong = found["kind"].lower().startswith(_STRONG)
    kind: Model = "strong" if strong else "fast"
    return GoalWord("model", _steps(found), model=kind, sure=found["what"].lower() != "one")


def _change(found: re.Match[str], said: Wording) -> GoalWord | None:
    """The wish in the person's own words, but for the politeness before it."""
    if _SAYS_NOTHING.fullmatch(said.bare):
        return GoalWord("change")
    return GoalWord("change", words=said.own(found.start("wish") if found["wish"] else 0))


def _answer(found: re.Match[str], said: Wording) -> GoalWord | None:
    start = found.start("text" if found["text"] else "only")
    return GoalWord("answer", _steps(found), said.own(start))


_Read = Callable[[re.Match[str], Wording], GoalWord | None]
_READ: tuple[tuple[str, _Read], ...] = (
    (_STATUS, lambda found, said: GoalWord("status")),
    (_CANCEL, lambda found, said: GoalWord("cancel")),
    (_ANSWER, _answer),
    (_SKIP, _skip),
    (_MODEL, _model),
    (_CHANGE, _change),
    (_RESULTS, lambda found, said: GoalWord("results", _steps(found))),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), read) for pattern, read in _READ)
_STARTED = re.compile(_START, re.IGNORECASE)
_BEGINS = [(act, re.compile(rf"(?:{like})(?![\w:'-])", re.IGNORECASE)) for act, like in _LIKE]
