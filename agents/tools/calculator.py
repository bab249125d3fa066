"""Arithmetic that is exact: numbers are fractions, so that 0.1 + 0.2 is 0.3."""

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from fractions import Fraction

from pydantic import BaseModel, Field

from agents.ports import ToolContext
from agents.tools.base import Tool, ToolFailed, checked, schema_of

_MAX_CHARACTERS = 500
_MAX_DEPTH = 260
_MAX_BITS = 8192
_MAX_LOGARITHM = 2000
_EXACT_DIGITS = 60
_ROUNDED_DIGITS = 12

_WORDS = {
    "×": "*",
    "·": "*",
    "÷": "/",
    "−": "-",
    "–": "-",
    "^": "**",
    "\u00a0": " ",
    "\u202f": " ",
}
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_CURRENCY = re.compile(r"[$€£¥]")
_NUMBER = r"\d[\d_]*(?:\.\d+)?"
_PERCENT_OF = re.compile(rf"({_NUMBER})\s*%\s*of\b", re.IGNORECASE)
_ADDED_PERCENT = re.compile(rf"[+-]\s*{_NUMBER}\s*%\s*(?=$|[-+*/),])")
_PERCENT = re.compile(rf"({_NUMBER})\s*%\s*(?=$|[-+*/),])")
_SMALL_EXPONENT = re.compile(r"e[+-]?0*\d{1,3}$", re.IGNORECASE)


class Sum(BaseModel):
    """What to calculate."""

    expression: str = Field(
        description="the calculation with the numbers of the message; only numbers, + - * / // % "
        "** ( ) and sqrt round min max abs log percent"
    )


def calculate(expression: str) -> Fraction:
    """The exact value of an arithmetic expression (irrational results to 30 digits).

    Raises ToolFailed for anything else than arithmetic, and for results too large to hold.
    """
    text = _normalised(expression)
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ToolFailed(
            f"'{expression}' is not arithmetic. Write it with numbers and + - * / ** ( ), "
            "for example (3 + 4.5) * 12"
        ) from None
    return _Evaluation(text).value(tree.body, 0)


def shown(value: Fraction) -> str:
    """The value as people write it; `about` where digits had to be left out."""
    if value.denominator == 1 and len(str(abs(value.numerator))) <= _EXACT_DIGITS:
        return str(value.numerator)
    places = _decimal_places(value.denominator)
    if places is not None and places <= 20 and abs(value) < 10**_EXACT_DIGITS:
        scaled = abs(value.numerator) * 10**places // value.denominator
        digits = str(scaled).rjust(places + 1, "0")
        sign = "-" if value < 0 else ""
        return f"{sign}{digits[:-places]}.{digits[-places:]}"
    context = Context(prec=_ROUNDED_DIGITS)
    rounded = context.divide(Decimal(value.numerator), Decimal(value.denominator)).normalize()
    plain = -7 < rounded.adjusted() < 21
    return f"about {rounded:f}" if plain else f"about {rounded}"


def _decimal_places(denominator: int) -> int | None:
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    return max(twos, fives) if denominator == 1 else None


def _normalised(expression: str) -> str:
    text = expression.strip().rstrip("=?").strip()
    if not text:
        raise ToolFailed("There is nothing to calculate. Give an expression such as 3 * 4.5")
    if len(text) > _MAX_CHARACTERS:
        raise ToolFailed(f"At most {_MAX_CHARACTERS} characters fit. Calculate it in parts")
    for word, sign in _WORDS.items():
        text = text.replace(word, sign)
    text = _CURRENCY.sub("", text)
    if not re.search(r"[A-Za-z]\s*\(", text):
        text = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)
    text = _PERCENT_OF.sub(r"(\1/100)*", text)
    if _ADDED_PERCENT.search(text):
        raise ToolFailed(
            "Adding a percentage can mean two things. Write 200 * (1 + 10/100) to raise 200 by "
            "10 percent, or 200 + 10/100"
        )
    text = _PERCENT.sub(r"(\1/100)", text).strip()
    if not text.isascii():
        raise ToolFailed("Use plain digits and the signs + - * / ** ( ) only")
    return text


def _number_too_large() -> ToolFailed:
    return ToolFailed("The numbers grow too large to calculate. Use smaller ones")


def _held(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise _number_too_large()
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if base == 0 and exponent < 0:
        raise ZeroDivisionError
    if exponent.denominator == 1:
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if size * abs(exponent.numerator) > 2 * _MAX_BITS:
            if base in (0, 1, -1):
                return base ** (exponent.numerator % 2) if base < 0 else base
            raise _number_too_large()
        return Fraction(base**exponent.numerator)
    if exponent == Fraction(1, 2):
        return _root(base)
    if base < 0:
        raise ToolFailed("A negative number has no such power. Use a whole exponent")
    try:
        return _from_float(float(base) ** float(exponent))
    except OverflowError:
        raise _number_too_large() from None


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise ToolFailed("A negative number has no square root")
    above, below = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if above * above == value.numerator and below * below == value.denominator:
        return Fraction(above, below)
    context = Context(prec=30)
    quotient = context.divide(Decimal(value.numerator), Decimal(value.denominator))
    return Fraction(context.sqrt(quotient))


def _logarithm(value: Fraction, base: Fraction | None = None) -> Fraction:
    if value <= 0 or (base is not None and (base <= 0 or base == 1)):
        raise ToolFailed("A logarithm needs a positive number, and a positive base other than 1")
    natural = math.log(value.numerator) - math.log(value.denominator)
    if base is None:
        return _from_float(natural)
    answer = natural / (math.log(base.numerator) - math.log(base.denominator))
    whole = round(answer)
    if abs(whole) <= _MAX_LOGARITHM and _power(base, Fraction(whole)) == value:
        return Fraction(whole)
    return _from_float(answer)


def _from_float(value: float) -> Fraction:
    if not math.isfinite(value):
        raise _number_too_large()
    return Fraction(repr(value))


def _half_away(value: Fraction, places: Fraction = Fraction(0)) -> Fraction:
    if places.denominator != 1 or abs(places) > 50:
        raise ToolFailed("round takes a whole number of decimal places, at most 50")
    scale = Fraction(10) ** places.numerator
    whole = math.floor(abs(value) * scale + Fraction(1, 2))
    return Fraction(whole if value >= 0 else -whole) / scale


def _percent(share: Fraction, whole: Fraction) -> Fraction:
    return share / 100 * whole


def _floored(left: Fraction, right: Fraction) -> Fraction:
    return Fraction(left // right)


_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: _floored,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Fraction], Fraction]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Fraction]]] = {
    "sqrt": (1, 1, _root),
    "round": (1, 2, _half_away),
    "min": (1, 50, lambda *values: min(values)),
    "max": (1, 50, lambda *values: max(values)),
    "abs": (1, 1, abs),
    "log": (1, 2, _logarithm),
    "log10": (1, 1, lambda value: _logarithm(value, Fraction(10))),
    "percent": (2, 2, _percent),
    "floor": (1, 1, lambda value: Fraction(math.floor(value))),
    "ceil": (1, 1, lambda value: Fraction(math.ceil(value))),
}
_CONSTANTS = {"pi": _from_float(math.pi), "e": _from_float(math.e)}


class _Evaluation:
    """Walks one expression; `text` gives back numbers as they were written."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, node: ast.expr, depth: int) -> Fraction:
        if depth > _MAX_DEPTH:
            raise ToolFailed("Too deeply nested. Calculate it in parts")
        try:
            return _held(self._value(node, depth + 1))
        except ZeroDivisionError:
            raise ToolFailed("That divides by zero, which has no answer") from None

    def _value(self, node: ast.expr, depth: int) -> Fraction:
        match node:
            case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
                return self._number(node)
            case ast.BinOp() if type(node.op) in _OPERATIONS:
                left, right = self.value(node.left, depth), self.value(node.right, depth)
                return _OPERATIONS[type(node.op)](left, right)
            case ast.UnaryOp() if type(node.op) in _SIGNS:
                return _SIGNS[type(node.op)](self.value(node.operand, depth))
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                return self._called(name, node.args, depth)
            case ast.Name(id=name) if name in _CONSTANTS:
                return _CONSTANTS[name]
        written = ast.get_source_segment(self._text, node) or self._text
        raise ToolFailed(
            f"'{written}' is not arithmetic. Only numbers, + - * / // % ** ( ) and the functions "
            f"{', '.join(_FUNCTIONS)} are known"
        )

    def _number(self, node: ast.Constant) -> Fraction:
        written = self._text[node.col_offset : node.end_col_offset]
        if "e" in written.lower() and not _SMALL_EXPONENT.search(written):
            raise _number_too_large()
        try:
            return Fraction(written)
        except ValueError:
            raise ToolFailed(f"'{written}' is not a decimal number") from None

    def _called(self, name: str, arguments: Sequence[ast.expr], depth: int) -> Fraction:
        if name not in _FUNCTIONS:
            raise ToolFailed(f"There is no function '{name}'. There are: {', '.join(_FUNCTIONS)}")
        least, most, function = _FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise ToolFailed(f"{name} takes {wanted} numbers, not {len(arguments)}")
        return function(*(self.value(argument, depth) for argument in arguments))


async def _run(arguments: Sum, context: ToolContext) -> str:
    return f"{arguments.expression.strip()} = {shown(calculate(arguments.expression))}"


CALCULATOR = Tool(
    name="calculator",
    description="Calculates exactly. Use it for every sum, product, percentage or average.",
    parameters=schema_of(Sum),
    effect="read",
    title="Calculating",
    call=checked(Sum, _run),
    subject="expression",
    foreign=False,
    examples=(
        "What is 12% of 350?",
        "We pay 3 people 45.50 a day for 9 days. How much is that?",
        "Share 96.40 between 8 people.",
    ),
    known="12% of 350 = 42",
)
