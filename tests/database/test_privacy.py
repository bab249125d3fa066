"""Personal data and secrets go; dates, order numbers, versions and prices stay."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.privacy import Redactor
from database.records import Feedback, Message, Run, Step, Summary

REDACTOR = Redactor()


def key(*parts: str) -> str:
    """A made-up secret, joined here so that no scanner takes this file for a leak."""
    return "".join(parts)


SECRETS = [
    key("xoxb-", "123456789012-1234567890123-", "AbCdEfGhIjKlMnOpQrStUvWx"),
    key("xoxe.xoxp-", "1-Mi0yLTEyMzQ1Njc4OTAtYWJj"),
    key("xapp-", "1-A0123456789-1234567890123-", "0a1b2c3d4e5f"),
    key("https://hooks.slack.com/services/", "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"),
    key("sk-", "proj-abcDEF123456ghiJKL789012mnoPQR345678"),
    key("sk-", "ant-api03-aB3dE5fG7hI9jK1lM3nO5pQ7rS9t"),
    key("ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"),
    key("github_pat_", "11ABCDEFG0abcdefghijkl_1234567890abcdef"),
    key("AKIA", "IOSFODNN7EXAMPLE"),
    key("glpat-", "abcdefghij1234567890"),
    key("SG.", "a" * 22, ".", "b" * 43),
    key("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"),
    key("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r"),
    key("-----BEGIN RSA PRIVATE KEY-----\n", "MIIEpAIBAAKCAQEA\n",
        "-----END RSA PRIVATE KEY-----"),
    key("-----BEGIN OPENSSH PRIVATE KEY-----\n", "b3BlbnNzaC1rZXktdjEAAAAA\nnever ends"),
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("text", ["{}", "use {} please", '"key": "{}",', "<{}|here>", "a={}\nb=1"])
def test_a_secret_of_a_usual_kind_goes(secret: str, text: str) -> None:
    redacted = REDACTOR.redact(text.format(secret))
    assert "[secret]" in redacted
    longest = max(secret.replace("\n", " ").split(), key=len)
    assert longest[-12:] not in redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password = hunter2", "password = [secret]"),
        ("DB_PASSWORD=correct-horse", "DB_PASSWORD=[secret]"),
        ("password: hunter2!", "password: [secret]"),
        ('{"password": "letmein"}', '{"password": "[secret]"}'),
        ("my password is Tr0ub4dor&3, ok?", "my password is [secret], ok?"),
        ("api_key: 'a1b2c3d4e5'", "api_key: '[secret]'"),
        ("client_secret => 0123456789abcdef", "client_secret => [secret]"),
        ("token: a1b2c3d4e5f6a7b8", "token: [secret]"),
        ("Authorization: Bearer abcdef0123456789ABCDEF", "Authorization: Bearer [secret]"),
        ("postgres://ada:s3cret@db.example/x", "postgres://ada:[secret]@db.example/x"),
        (
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "aws_secret_access_key = [secret]",
        ),
    ],
)
def test_what_is_called_a_secret_goes(text: str, expected: str) -> None:
    assert REDACTOR.redact(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail ada.l+x@mail.example.co.uk now", "mail [email] now"),
        ("<mailto:ada@example.com|ada@example.com>", "<mailto:[email]|[email]>"),
        ("call +1 (415) 555-2671 or 415-555-2671", "call [phone] or [phone]"),
        ("+44 20 7946 0958", "[phone]"),
        ("<tel:+14155552671|415.555.2671>", "<tel:[phone]|[phone]>"),
        ("my phone is 4155552671", "my phone is [phone]"),
        ("ring 030 1234 5678", "ring [phone]"),
        ("nobody is answering at 78 651 450", "nobody is answering at [phone]"),
        ("my driver's license number is F1628-2354", "my driver's license number is [id]"),
        ("Passport no. C01X00T47, valid", "Passport no. [id], valid"),
        ("Ann lives at 12 Elm Road, Leeds. She asks", "Ann lives at [address]. She asks"),
        ("Address: 15 Rue Verte\nBye", "Address: [address]\nBye"),
        ("SSN 078-05-1120", "SSN [ssn]"),
        ("social security number: 078051120", "social security number: [ssn]"),
        ("card 4111 1111 1111 1111 exp 12/27", "card [card] exp 12/27"),
        ("378282246310005", "[card]"),
        ("pay to DE89 3704 0044 0532 0130 00", "pay to [iban]"),
        ("from 203.0.113.42 at noon", "from [ip] at noon"),
        ("from 2001:db8:85a3::8a2e:370:7334", "from [ip]"),
    ],
)
def test_personal_data_goes(text: str, expected: str) -> None:
    assert REDACTOR.redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The review is on 2026-11-21 at 10:30, not on 11/22/2026 or 01-12-2026.",
        "Order 1234567890 and invoice 2026-000123 shipped; ticket 4155552671.",
        "Python 3.11.7, kernel 6.1.0.18, version 10.2.3.4 and section 1.2.3.4",
        "https://x.slack.com/archives/C0123ABCDEF/p1700000000000100?thread_ts=1700000000.000100",
        "ts 1700000000.000100 and 1700000000",
        "It costs $1,234,567.89 or 1 234 567 EUR; 4111111111111112 is no card",
        "550e8400-e29b-41d4-a716-446655440000 and 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "The password is wrong. I forgot my password, how do I reset it? Password reset works.",
        "The token limit is 4096; max_tokens = 100 and token: 5. The secret is practice.",
        "localhost 127.0.0.1 and 0.0.0.0 answer",
        "use sklearn or sk-learn; see task-list-of-the-quarter and risk-management-committee",
        "meeting from 09:00 to 10:30:15, ratio 1:2:3:4, C++ std::vector::iterator",
        "@ada and <@U012ABCDEF> in <#C012ABCDEF|general> at 5pm",
        "1 2 3 4 5 6 7 8 9 10 11 12",
        "What is 123456789 * 987654321?",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert REDACTOR.redact(text) == text


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=20),
            st.sampled_from(
                [
                    *SECRETS,
                    "ada@example.com",
                    "+1 415 555 2671",
                    "password = x1y2z3",
                    "password: ",
                    "token: ",
                    "://",
                    ":",
                    "@",
                    " is ",
                    "[secret]",
                    "lives at 12 Elm Road",
                    "my address is ",
                    "passport number A12345",
                ]
            ),
        ),
        max_size=8,
    ).map(" ".join)
)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = REDACTOR.redact(text)
    assert REDACTOR.redact(once) == once


HOSTILE = [
    "=", "a", "-", "1", "1 ", "1-", "eyJ", "sk-", "://", "://a:", "x@", "@a.", "a.a@", "aws key ",
    "password ", "password=", "password is ", "-----BEGIN PRIVATE KEY-----", "0:", "xoxb-", "AC",
    "1.", "+1", "GB00 ", "phone ", "card ", "'", "xoxb-1-",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_no_longer_than_its_length(piece: str) -> None:
    text = piece * (40_000 // len(piece))
    began = time.process_time()
    REDACTOR.redact(text)
    assert time.process_time() - began < 2.0


def test_names_go_only_when_asked() -> None:
    roster = ["Ada Lovelace", "Bo", "Grace Hopper"]
    text = "Ada Lovelace met GRACE HOPPER and Bo; Adaptable"
    assert Redactor(lambda: roster).redact(text) == text
    redactor = Redactor(lambda: roster, names=True)
    assert redactor.redact(text) == "[person] met [person] and Bo; Adaptable"
    roster.append("Adaptable")
    assert redactor.redact(text).endswith("; [person]")
    assert Redactor(names=True).redact(text) == text


MAIL = "ada@example.com"


def test_every_text_of_a_run_is_redacted() -> None:
    run = Run("r", MAIL, "a", reply=MAIL, error=MAIL, route={"why": [MAIL, {"x": MAIL}], "n": 1.5},
              steps=(Step(0, "tool", "t", {"to": MAIL, "password": "abc", "n": 3}, False, MAIL),
                     Step(1, "model", "m")))  # fmt: skip
    assert REDACTOR.redact_run(run) == Run(
        "r", "[email]", "a", reply="[email]", error="[email]",
        route={"why": ["[email]", {"x": "[email]"}], "n": 1.5},
        steps=(Step(0, "tool", "t", {"to": "[email]", "password": "[secret]", "n": 3}, False,
                    "[email]"), Step(1, "model", "m")),
    )  # fmt: skip
    assert MAIL in run.request, "the run itself is not changed"


def test_messages_feedback_and_summaries_are_redacted() -> None:
    message = Message("C1", "1.0", "1.0", "person", MAIL)
    assert REDACTOR.redact_message(message).text == "[email]"
    assert REDACTOR.redact_feedback(Feedback("f", "r", "better", 0, text=MAIL)).text == "[email]"
    assert REDACTOR.redact_feedback(Feedback("f", "r", "rating", 1)).text is None
    summary = Summary("C1", "1.0", "1.0", MAIL, "public")
    assert REDACTOR.redact_summary(summary).text == "[email]"
