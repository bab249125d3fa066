"""What passes and what does not, also when the answer is written to deceive."""

import json
from pathlib import Path
from typing import Any

import pytest

from agents.checks import judge, load_questions, parse_question
from database.errors import InputError


def checks(*bodies: dict[str, Any]) -> tuple[Any, ...]:
    body = {"id": "x-001", "part": "test", "request": "r", "check": bodies, "answer": "a"}
    return parse_question(body, "here").check


DOUBLE = {
    "kind": "python_result",
    "function": "double",
    "cases": [{"arguments": [2], "returns": 4}, {"arguments": [3], "returns": 6}],
}
TOTAL = {
    "kind": "sql_result",
    "tables": "create table t(name text, n integer); insert into t values ('a',1),('b',2);",
    "rows": [["b", 2], ["a", 1]],
}
CODE = {"kind": "regex_result", "matches": ["AB-12"], "rejects": ["ab-12", "AB-12 "]}
OWNERS = {
    "kind": "rows",
    "header": ["owner", "task", "due"],
    "rows": [["Ann", ["contract*", "paper"], "Friday"], ["Bo", "room", ["-", "none"]]],
}
STEPS = {"kind": "order", "terms": ["bridge", ["hut", "cabin"], "cable car"]}

PASSES = [
    (
        {"kind": "contains_all", "terms": ["1200", ["sorry", "apolog*"]]},
        "Apologies! **1,200** it is.",
    ),
    ({"kind": "contains_none", "terms": ["he", "his"]}, "The theatre, this one."),
    ({"kind": "equals", "values": ["no smoking"]}, '"No smoking."'),
    ({"kind": "equals", "values": ["userName"], "cased": True}, "`userName`"),
    ({"kind": "label", "labels": ["yes", "no"], "expected": "no"}, "No."),
    ({"kind": "label", "labels": ["P1", "P2"], "expected": "P2"}, "**P2**"),
    ({"kind": "number", "expected": 1487.5}, "1250 * 1.19 = €1,487.50"),
    ({"kind": "number", "expected": -4}, "It is −4 degrees"),
    ({"kind": "number", "expected": 14}, "a drop of 14%."),
    ({"kind": "number", "expected": 20.0, "tolerance": 0.05}, "20.04"),
    ({"kind": "date", "expected": "2026-04-25"}, "45 days after 2026-03-11 is 2026-04-25."),
    ({"kind": "words", "max": 4}, "- one two\n- three four"),
    ({"kind": "chars", "max": 10}, "```\n0123456789\n```"),
    ({"kind": "line_count", "min": 2, "max": 2}, "one\n\ntwo"),
    ({"kind": "lines", "expected": ["Bao", "Ina"]}, "1. Bao\n2. Ina"),
    ({"kind": "lines", "expected": ["1. tea", "2. milk"]}, "1. tea\n2. milk"),
    ({"kind": "pattern", "pattern": r"\A- .+"}, "- point"),
    ({"kind": "pattern", "pattern": "!", "absent": True}, "Calm."),
    (STEPS, "From the bridge to the cabin, then down by cable car."),
    (OWNERS, "Bo | book the room | -\nAnn | send the contracts | by Friday"),
    (
        OWNERS,
        "| Owner | Task | Due |\n|---|:--|---|\n| Ann | paper | Friday |\n| Bo | room | none |",
    ),
    (
        {"kind": "json_fields", "fields": {"a": 2, "b": None}},
        'Here:\n```json\n{"b": null, "a": 2.0}\n```',
    ),
    ({"kind": "json_fields", "fields": {"x": {"any": ["lamp", "lamps"]}}}, '{"x": "Lamps"}'),
    ({"kind": "json_equals", "value": [{"id": 7}]}, '[{"id": 7}]'),
    (
        DOUBLE,
        "Sure:\n```python\nimport math\ndef double(x):\n    print(x)\n    return x * 2\n```\nDone.",
    ),
    (TOTAL, "```sql\nSELECT name, n FROM t;\n```"),
    (CODE, "`^[A-Z]{2}-\\d+$`"),
    (CODE, "/[A-Z]{2}-[0-9]{2}/"),
]

FAILS = [
    ({"kind": "contains_all", "terms": ["12"]}, "112, 12.5, 12:30 and 1,2"),
    ({"kind": "contains_none", "terms": ["problem"]}, "No PROBLEM at all"),
    ({"kind": "equals", "values": ["no smoking"]}, "No smoking, please"),
    ({"kind": "equals", "values": ["userName"], "cased": True}, "username"),
    ({"kind": "label", "labels": ["yes", "no"], "expected": "no"}, "yes or no"),
    ({"kind": "label", "labels": ["bug", "how-to"], "expected": "bug"}, "debugging"),
    ({"kind": "number", "expected": 14}, "14 or perhaps 15"),
    ({"kind": "number", "expected": 14}, "fourteen"),
    ({"kind": "number", "expected": 450.3}, "450.3 pieces for 3 teams"),
    ({"kind": "date", "expected": "2026-04-25"}, "2026-04-25 or 2026-04-26"),
    ({"kind": "date", "expected": "2026-04-25"}, "25 April 2026"),
    ({"kind": "words", "max": 3}, "far too many words"),
    ({"kind": "words", "min": 3}, "- - - too few"),
    ({"kind": "chars", "max": 3}, "long"),
    ({"kind": "line_count", "min": 2, "max": 2}, "one"),
    ({"kind": "lines", "expected": ["Bao", "Ina"]}, "Ina\nBao"),
    ({"kind": "lines", "expected": ["Bao", "Ina"]}, "Here they are:\nBao\nIna"),
    ({"kind": "lines", "expected": ["1. tea", "2. milk"]}, "tea\nmilk"),
    ({"kind": "lines", "expected": ["Blue Sky"], "cased": True}, "blue sky"),
    ({"kind": "pattern", "pattern": "[a-z]", "absent": True}, "NOT QUITe"),
    (STEPS, "By cable car to the hut and the bridge."),
    (STEPS, "From the bridge to the hut."),
    (OWNERS, "Ann | send the contract | Friday"),
    (OWNERS, "Ann | contract | Monday\nBo | room | -"),
    (OWNERS, "Ann | contract | Friday\nBo | room | -\nEve | nothing | -"),
    (OWNERS, "Ann, contract, Friday\nBo, room, -"),
    ({"kind": "json_fields", "fields": {"a": 2}}, '{"a": 2, "b": 3}'),
    ({"kind": "json_fields", "fields": {"a": 2}}, '{"a": "2"}'),
    ({"kind": "json_fields", "fields": {"a": 1}}, '{"a": true}'),
    ({"kind": "json_fields", "fields": {"a": None}}, '{"a": ""}'),
    ({"kind": "json_fields", "fields": {"a": 2}}, '{"a": 2'),
    ({"kind": "json_fields", "fields": {"a": 2}}, '[{"a": 2}]'),
    ({"kind": "json_equals", "value": [1, 2]}, "[2, 1]"),
    (DOUBLE, "def double(x): return 4"),
    (DOUBLE, "def twice(x): return x * 2"),
    (DOUBLE, "def double(x) return x * 2"),
    (TOTAL, "SELECT n, name FROM t"),
    (TOTAL, "SELECT name, n FROM t; DROP TABLE t"),
    (TOTAL, "DELETE FROM t"),
    (TOTAL, "ATTACH 'stolen.db' AS s"),
    (CODE, "The pattern is:\n[A-Z]{2}-\\d+"),
    (CODE, "[A-Z"),
    (CODE, ".*"),
]


@pytest.mark.parametrize(("check", "answer"), PASSES)
async def test_a_good_answer_passes_whatever_its_wrapping(
    check: dict[str, Any], answer: str
) -> None:
    verdict = await judge(checks(check), answer)

    assert (verdict.passed, verdict.reason) == (True, "")


@pytest.mark.parametrize(("check", "answer"), FAILS)
async def test_a_wrong_answer_fails_with_a_reason(check: dict[str, Any], answer: str) -> None:
    verdict = await judge(checks(check), answer)

    assert not verdict.passed
    assert verdict.reason


@pytest.mark.parametrize("check", [check for check, _ in PASSES])
@pytest.mark.parametrize("answer", ["", " \n", "```\n```"])
async def test_an_empty_answer_never_passes(check: dict[str, Any], answer: str) -> None:
    assert not (await judge(checks(check), answer)).passed


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os\ndef double(x): return 2 * x", "imports os"),
        ("def double(x): return open('/etc/passwd').read()", "uses open"),
        ("def double(x): return ().__class__.__base__", "refused"),
        ("def double(x): return __import__('os').getpid()", "refused"),
        ("import statistics\ndef double(x):\n    import json.tool\n    return 2 * x", "refused"),
        ("import re\ndef double(x):\n    re.enum.sys.modules['os'].listdir('/')", "os.listdir"),
        ("def double(x): raise SystemExit(0)", "SystemExit"),
        ("def double(x): return object()", "TypeError"),
        ("def double(x): return 'a' * 10 ** 12", "MemoryError"),
        ("def double(x): return double(x)", "RecursionError"),
    ],
)
async def test_hostile_code_is_stopped_and_the_reason_said(code: str, reason: str) -> None:
    verdict = await judge(checks(DOUBLE), code)

    assert not verdict.passed
    assert reason in verdict.reason


async def test_code_that_never_ends_is_ended() -> None:
    verdict = await judge(checks(DOUBLE), "def double(x):\n    while True: pass")

    assert verdict.reason in ("the code stopped its process", "took more than 5 s")


async def test_code_cannot_claim_a_result_for_cases_it_fails() -> None:
    forged = (
        "import statistics\n"
        "os = statistics.sys.modules['os']\n"
        'os.write(1, b\'{"value": "right"}\')\n'
        "os._exit(0)\n"
    )

    assert not (await judge(checks(DOUBLE), forged)).passed


async def test_code_leaves_no_file_behind(tmp_path: Path) -> None:
    target = tmp_path / "left"
    write = f"statistics.sys.modules['io'].FileIO('{target}', 'w')"
    code = f"import statistics\ndef double(x):\n    {write}"

    verdict = await judge(checks(DOUBLE), code)

    assert not verdict.passed
    assert not target.exists()


async def test_all_checks_must_pass_and_the_first_failure_is_told() -> None:
    both = checks({"kind": "words", "max": 3}, {"kind": "contains_all", "terms": ["Friday"]})

    assert (await judge(both, "On Friday")).passed
    assert "Friday" in (await judge(both, "On Monday")).reason
    assert "words" in (await judge(both, "It is going to be on Monday")).reason


async def test_sql_rows_are_compared_in_order_only_where_order_was_asked() -> None:
    query = "SELECT name, n FROM t ORDER BY n"

    assert (await judge(checks(TOTAL), query)).passed
    assert not (await judge(checks(TOTAL | {"ordered": True}), query)).passed


GOOD = {
    "id": "x-001",
    "part": "test",
    "request": "Say hi",
    "check": [{"kind": "equals", "values": ["hi"]}],
    "answer": "Hi",
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"part": "exam"}, "part"),
        ({"check": []}, "check"),
        ({"check": [{"kind": "vibes"}]}, "vibes"),
        ({"check": [{"kind": "equals", "values": ["hi"], "strict": 1}]}, "strict"),
        ({"check": [{"kind": "pattern", "pattern": "("}]}, "regular expression"),
        ({"id": "X 1"}, "id"),
        ({"hint": "hi"}, "hint"),
    ],
)
def test_a_bad_question_is_refused_with_file_line_and_key(
    change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "greeter.questions.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | change) + "\n")

    with pytest.raises(InputError, match=r"greeter\.questions\.jsonl:2: ") as refused:
        load_questions(path)

    assert says in str(refused.value)


def test_a_line_that_is_no_json_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "greeter.questions.jsonl"
    path.write_text(json.dumps(GOOD) + "\n{oops\n")

    with pytest.raises(InputError, match=r":2: not JSON"):
        load_questions(path)
