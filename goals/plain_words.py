"""A plain yes or no: only whole sayings count, as "yes, but only to Anna" is something else.

Whoever says more than that has said something that must be read, not carried out.
"""

import re
from itertools import product

_AYE = ("yes", "y", "yep", "yeah", "yup", "yes yes", "aye")
_FINE = (
    *_AYE, "ok", "okay", "sure", "sure thing", "of course", "certainly", "absolutely", "definitely",
    "by all means", "alright", "all right", "fine", "agreed", "approved", "granted", "+1", "👍",
)  # fmt: skip
_DO = (
    "do it", "do that", "do so", "do this", "go on", "go ahead", "go for it", "go", "continue",
    "proceed", "please do", "please go on", "please go ahead", "please continue", "please proceed",
    "you may", "you can",
)  # fmt: skip
_AFTER = ("send it", "post it", "use it", "run it", "that's fine", "that is fine", "i agree",
          "i approve", "with pleasure", "why not")  # fmt: skip
_NAY = ("no", "n", "nope", "nah", "no no", "-1", "👎")
_DO_NOT = (
    "don't", "do not", "don't do it", "do not do it", "don't do that", "do not do that", "stop",
    "stop it", "stop here", "cancel", "cancel it", "never", "better not", "rather not", "not now",
    "please don't", "please do not", "please stop",
)  # fmt: skip
_IT_WAS = (
    "done", "all done", "already done", "done already", "it was", "it was done", "it is done",
    "it's done", "it was done already", "it was already done", "it is done already",
    "it is already done", "it's already done", "it is there", "it's there", "it was sent",
    "it arrived", "it has arrived", "i got it", "i have it", "it worked",
)  # fmt: skip
_IT_WAS_NOT = (
    "not done", "not yet", "it was not", "it wasn't", "it was not done", "it wasn't done",
    "it is not done", "it isn't done", "it's not done", "it has not been done", "not done yet",
    "it was not done yet", "it is not there", "it isn't there", "it's not there",
    "it did not work", "it didn't work", "nothing arrived", "i did not get it", "i didn't get it",
)  # fmt: skip
_THEN = ("do it", "please do it", "please do", "do it then", "do it now")
_AT_THE_END = ("please", "thanks", "thank you", "now", "then")

_BETWEEN = re.compile(r"[\s,.;:!*_~`\"“”()]+")
"""What may stand between and around words; a question mark may not: who asks back decides
nothing."""


def _with(firsts: tuple[str, ...], seconds: tuple[str, ...]) -> frozenset[str]:
    return frozenset(" ".join(pair) for pair in product(firsts, seconds))


_AGREES = frozenset((*_FINE, *_DO)) | _with(_FINE, (*_DO, *_AFTER, "please do it"))
_DECLINES = frozenset((*_NAY, *_DO_NOT)) | _with(_NAY, _DO_NOT)
_WAS_DONE = frozenset((*_AYE, *_IT_WAS)) | _with(_AYE, _IT_WAS)
_WAS_NOT_DONE = (
    frozenset((*_NAY, *_IT_WAS_NOT)) | _with(_NAY, _IT_WAS_NOT) | _with(_NAY, _THEN)
)  # fmt: skip


def agrees(text: str) -> bool | None:
    """What is said to "may I?": True for a plain yes, False for a plain no, None for all else."""
    return _among(text, _AGREES, _DECLINES)


def was_done(text: str) -> bool | None:
    """What is said to "was it done?", likewise; "do it" and "don't" are no answer to that."""
    return _among(text, _WAS_DONE, _WAS_NOT_DONE)


def _among(text: str, yes: frozenset[str], no: frozenset[str]) -> bool | None:
    said = " ".join(_BETWEEN.sub(" ", text.casefold().replace("’", "'")).split())
    if said in yes or _shortened(said) in yes:
        return True
    return False if said in no or _shortened(said) in no else None


def _shortened(said: str) -> str:
    """Without what politeness adds at the end."""
    for end in _AT_THE_END:
        if said.endswith(f" {end}"):
            return said.removesuffix(end).rstrip()
    return said
