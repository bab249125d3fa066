"""Personal data and secrets are taken out of texts before they reach the record.

Candidates come from datafog (phone, card, social security, address of a machine) and
detect-secrets, and from patterns here; each is checked so that dates, order numbers, versions,
prices and Slack's timestamps stay. Every pattern is bounded: its time grows with the text's length
only, also on hostile text. That is why datafog's email and detect-secrets' OpenAI, web token and
basic-auth patterns, which are not, have a twin here.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from datafog.processing.text_processing.regex_annotator import RegexAnnotator
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from database.records import Feedback, Message, Run, Step, Summary

Roster = Callable[[], Iterable[str]]
_Check = Callable[[re.Match[str]], bool]
_Pattern = re.Pattern[str]

SECRET = "[secret]"

_DETECTORS: tuple[RegexBasedDetector, ...] = (
    AWSKeyDetector(), AzureStorageKeyDetector(), DiscordBotTokenDetector(), GitLabTokenDetector(),
    MailchimpDetector(), PypiTokenDetector(), SendGridDetector(), SlackDetector(),
    SquareOAuthDetector(), StripeDetector(), TelegramBotTokenDetector(), TwilioKeyDetector(),
)  # fmt: skip

_OWN_SECRETS = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?!-----(?:BEGIN|END)).)*(?:-----END [A-Z0-9 ]{0,40}-----)?",
    r"(?<![A-Za-z0-9])xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}",
    r"(?<![A-Za-z0-9])xapp-[A-Za-z0-9-]{10,}",
    r"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{20,}",
    r"(?<![A-Za-z0-9])(?:gh[a-z]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_=-]{8,}\.[A-Za-z0-9_=-]{8,}(?:\.[A-Za-z0-9_.+/=-]*)?",
    r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}",
)
_AFTER_A_SIGN = (
    r"(?i:\bbearer|\bauthorization: ?(?:basic|token)) +(?P<hidden>[A-Za-z0-9._~+/-]{16,}=*)",
    r"(?<=://)[^\s:@/\[\]]{0,100}:(?P<hidden>[^\s@/\[\]]{1,200})@",
    r"(?i:\b(?:aws[_ ]?)?secret[_ ]?access[_ ]?key)[\"']?\s{0,3}[=:]\s{0,3}[\"']?"
    r"(?P<hidden>[A-Za-z0-9/+]{40})",
)
_SECRET_KEY = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|contrase\w{1,3}a|passwort|mot de passe|secret"
    r"|(?:api|auth|access|private|client|service|account|encryption)[_ -]?(?:key|token|secret)"
    r"|token)"
)
_ASSIGNED = re.compile(
    rf"(?i:(?<![A-Za-z])(?P<key>{_SECRET_KEY}))[\"'`*]{{0,3}}"
    r"(?P<sign>\s{0,3}(?::=|=>|={1,3}|:)\s{0,3}|\s(?:is|was|are|ist|es)\s{1,3}:?\s{0,2})"
    r"(?P<quote>[\"'`*]?)(?P<hidden>[^\s\"'`,;<>\[\](){}]{4,200})",
)
_SECRET_NAME = re.compile(rf"(?i)(?<![A-Za-z]){_SECRET_KEY}$")

_EMAIL = re.compile(
    r"(?<![\w.%+-])[A-Za-z0-9_][\w.%+'-]{0,63}@(?:[\w-]{1,63}\.){1,6}[A-Za-z]{2,24}(?![\w-])"
)
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+|00)(?=[1-9])\d{1,3}(?:[\s.\-/]{0,2}\(?\d{1,5}\)?){2,6}(?![\w])"
    r"(?:\s?(?:x|ext\.?)\s?\d{1,5})?"
)
_LOCAL_PHONE = re.compile(
    r"(?<![\w.+/-])\(?0\d{1,4}\)?[\s\-/]\d{2,4}(?:[\s\-]\d{2,4}){1,3}(?![\w/-])"
)
_SAID_PHONE = re.compile(
    r"(?i)\b(?:phone|telephone|tel|mobile|cell|call|sms|whatsapp|fax|dial|ring|desk|answering)\b"
    r"(?: (?:number|me|us|him|her|them|it|is|on|at|back))*[\s:.#(]{1,6}"
    r"(?P<hidden>\(?\+?\d(?:[\s.()/-]{0,2}\d){6,14}(?:x\d{1,5})?)(?!\w)"
)
_SAID_CARD = re.compile(
    r"(?i)\b(?:card|cc|visa|mastercard|amex)\b[^\d\n]{0,30}(?P<hidden>\d(?:[ -]?\d){11,18})(?!\w)"
)
_SAID_PAPER = re.compile(
    r"(?i)\b(?:driver'?s?.? licen[cs]e|passport|identity card|id card|tax(?:payer)? id)\b"
    r"(?: (?:number|no\.?|is))*[\s:#]{1,4}"
    r"(?P<hidden>(?=[A-Z-]{0,9}\d)[A-Z0-9][A-Z0-9-]{4,24})(?![\w-])"
)
_SAID_HOME = re.compile(
    r"(?i)(?:\b(?:home|postal|mailing|street|shipping|billing|delivery|my|his|her|their)"
    r" address\b(?: is)?|\b(?:lives?|living|resides?) at\b|^address\b)\s*:?\s*"
    r"(?P<hidden>(?=[^\n.;!?\[]{0,60}\d)[^\n.;!?\[]{6,120})",
    re.MULTILINE,
)
_SSN_WORDS = re.compile(r"(?i)\b(?:ssn|social security)\b[^\d\n]{0,25}$")
_VERSION_WORDS = re.compile(
    r"(?i)(?:\bv|\b(?:version|release|build|section|chapter|ver|kernel|firmware)\.? ?)$"
)
_CARD = re.compile(r"(?<![\w.-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\w-])")
_IBAN = re.compile(r"(?i)(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_IP6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}(?![\w:.])")
_DATE = re.compile(r"\d{1,2}([-/. ])\d{1,2}\1\d{4}\b")
_DIGITS = re.compile(r"\d{2}")


def _before(match: re.Match[str], signs: _Pattern) -> bool:
    return signs.search(match.string, max(0, match.start() - 40), match.start()) is not None


def _digits(match: re.Match[str]) -> str:
    return re.sub(r"\D", "", match.group())


def _is_phone(match: re.Match[str]) -> bool:
    """Digits written together are rather an order's number; see _SAID_PHONE for the others."""
    text, digits = match.group(), _digits(match)
    if text.isdigit() or _DATE.match(text) or (text.startswith("00") and len(digits) < 10):
        return False
    return 7 <= len(digits) <= 16


def _is_ssn(match: re.Match[str]) -> bool:
    return "-" in match.group() or _before(match, _SSN_WORDS)


def _is_card(match: re.Match[str]) -> bool:
    """Luhn's check digit."""
    digits = [int(digit) for digit in reversed(_digits(match))]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + doubled) % 10 == 0


def _is_iban(match: re.Match[str]) -> bool:
    """ISO 13616: the number modulo 97 is 1."""
    text = match.group().replace(" ", "")
    moved = text[4:] + text[:4]
    return 15 <= len(text) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def _is_address(match: re.Match[str]) -> bool:
    """An address of a machine that is not the machine itself, and not a version."""
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return False
    around = match.string[match.start() - 1 : match.start()], match.string[match.end() :][:2]
    numbered = around[0] == "." or re.match(r"\.\d", around[1]) or _before(match, _VERSION_WORDS)
    return not (numbered or address.is_loopback or address.is_unspecified)


def _is_secret_value(match: re.Match[str]) -> bool:
    """`password = x` always; in prose only what does not look like a word."""
    value, sign = match["hidden"], match["sign"].strip()
    odd = any(c.isdigit() for c in value) or re.search(r"[^\w.?!-]", value) is not None
    if match["key"].lower() in {"token", "secret"} and not match["quote"]:
        return odd and len(value) >= 12
    if "=" in sign:
        return True
    ends_line = match.string[match.end() :][:1] in ("", "\n", '"', "'", "`")
    return (odd and len(value) >= 6) or (sign == ":" and ends_line)


def _patterns() -> tuple[tuple[str, _Pattern, _Check | None], ...]:
    annotator = RegexAnnotator().patterns
    return (
        ("[iban]", _IBAN, _is_iban),
        ("[card]", _CARD, _is_card),
        ("[card]", annotator["CREDIT_CARD"], _is_card),
        ("[card]", _SAID_CARD, None),
        ("[ssn]", annotator["SSN"], _is_ssn),
        ("[ip]", annotator["IP_ADDRESS"], _is_address),
        ("[phone]", _PHONE, _is_phone),
        ("[phone]", annotator["PHONE"], _is_phone),
        ("[phone]", _LOCAL_PHONE, _is_phone),
        ("[phone]", _SAID_PHONE, None),
        ("[id]", _SAID_PAPER, None),
        ("[address]", _SAID_HOME, None),
    )


class Redactor:
    """Replaces personal data and secrets by placeholders; the same text always gives the same.

    `names` also replaces the names that `roster` gives (read at each call, so that a new colleague
    counts at once) by `[person]`; it is off for the assistant's own working memory, which would be
    of little use without them.
    """

    def __init__(self, roster: Roster = tuple, *, names: bool = False) -> None:
        self._roster = roster
        self._names = names
        self._secrets = [
            *(re.compile(source, re.DOTALL) for source in _OWN_SECRETS),
            *(pattern for detector in _DETECTORS for pattern in detector.denylist),
        ]
        self._marked = [*(re.compile(source) for source in _AFTER_A_SIGN), _ASSIGNED]
        self._numbers = _patterns()
        # A message and its run say the same; redacting costs 0.2 ms for 300 characters.
        self._anonymous = lru_cache(maxsize=8)(self._without_personal_data)
        self._name_pattern: tuple[frozenset[str], _Pattern | None] = (frozenset(), None)

    def redact(self, text: str) -> str:
        """The text with `[secret]`, `[email]`, `[phone]`, `[card]`, `[ssn]`, `[iban]` and `[ip]`.

        Also `[id]` and `[address]`, only where the words before them say what they are.

        Redacting twice changes nothing more.
        """
        text = self._anonymous(text)
        return self._without_names(text) if self._names else text

    def holds_secret(self, text: str) -> bool:
        """Whether there is a password, key or token in the text."""
        return self._without_secrets(text) != text

    def _without_personal_data(self, text: str) -> str:
        text = self._without_secrets(text)
        if "@" in text:
            text = _EMAIL.sub("[email]", text)
        if _DIGITS.search(text):
            for placeholder, pattern, check in self._numbers:
                text = _replace(text, pattern, placeholder, check)
        if text.count(":") > 2:
            text = _replace(text, _IP6, "[ip]", _is_address)
        return text

    def _without_secrets(self, text: str) -> str:
        for pattern in self._secrets:
            text = pattern.sub(SECRET, text)
        for pattern in self._marked:
            check = _is_secret_value if pattern is _ASSIGNED else None
            text = _replace(text, pattern, SECRET, check)
        return text

    def _without_names(self, text: str) -> str:
        names = frozenset(name.strip() for name in self._roster() if len(name.strip()) > 2)
        if names != self._name_pattern[0]:
            joined = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
            pattern = re.compile(rf"(?i)(?<!\w)(?:{joined})(?!\w)") if names else None
            self._name_pattern = (names, pattern)
        pattern = self._name_pattern[1]
        return text if pattern is None else pattern.sub("[person]", text)

    def redact_run(self, run: Run) -> Run:
        """Request, reply, error, reasons and the steps' arguments and errors."""
        return replace(
            run,
            request=self.redact(run.request),
            reply=self._maybe(run.reply),
            error=self._maybe(run.error),
            route=None if run.route is None else self.redact_body(run.route),
            steps=tuple(self._step(step) for step in run.steps),
        )

    def _step(self, step: Step) -> Step:
        arguments = None if step.arguments is None else self.redact_body(step.arguments)
        return replace(step, arguments=arguments, error=self._maybe(step.error))

    def redact_message(self, message: Message) -> Message:
        """The message's text."""
        return replace(message, text=self.redact(message.text))

    def redact_feedback(self, feedback: Feedback) -> Feedback:
        """The feedback's words."""
        return replace(feedback, text=self._maybe(feedback.text))

    def redact_summary(self, summary: Summary) -> Summary:
        """The summary's text."""
        return replace(summary, text=self.redact(summary.text))

    def redact_body(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Every text in a JSON-able mapping; what a key calls a password is one."""
        return {key: self._value(key, value) for key, value in body.items()}

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return SECRET if value and _SECRET_NAME.search(key) else self.redact(value)
        if isinstance(value, Mapping):
            return self.redact_body(value)
        if isinstance(value, list | tuple):
            return [self._value(key, item) for item in value]
        return value

    def _maybe(self, text: str | None) -> str | None:
        return None if text is None else self.redact(text)


def _replace(text: str, pattern: _Pattern, placeholder: str, check: _Check | None) -> str:
    """Replace what passes the check; of a match with a `hidden` part only that part."""
    named = "hidden" in pattern.groupindex

    def put(match: re.Match[str]) -> str:
        if check is not None and not check(match):
            return match.group()
        if not named:
            return placeholder
        start, end = (place - match.start() for place in match.span("hidden"))
        return match.group()[:start] + placeholder + match.group()[end:]

    return pattern.sub(put, text)
