"""Conditions on calls as people write them: failed and call ~ 'Create*' and in.NumAllocations > 1.

A condition is parsed into functions of a call; nothing of it is ever given to Python to run.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from tracekmt import ntstatus
from tracekmt.calls import EXPORT_PREFIXES
from tracekmt.codec import Unreadable
from tracekmt.errors import UsageError
from tracekmt.spec.paths import element, structures
from tracekmt.spec.types import CallSpec, Enum, Flags
from tracekmt.text.units import parse_size

CallPredicate = Callable[[Any], bool]
"""Of a call: what it is not asked for need not be there."""

Values = Callable[[Any], list[Any]]
"""What an expression stands for in a call: no value where it is not there, several where a path leads to several."""

LENGTH_LIMIT = 4096
DEPTH_LIMIT = 64

_TIMES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?)(?P<unit>[a-zA-Z]+)?(?![\w.])"
    r"|(?P<text>'[^']*'|\"[^\"]*\")|(?P<name>[A-Za-z_]\w*)|(?P<sign>==|!=|!~|<=|>=|[=<>~()\[\].]))"
)
_SIGNS = ("==", "=", "!=", "<", "<=", ">", ">=", "~", "!~")

# What a call can be asked for besides its argument.
FACTS: dict[str, Callable[[Any], Any]] = {
    "call": lambda call: _Name(call.name),
    "index": lambda call: call.index,
    "status": lambda call: call.status,
    "result": lambda call: call.result,
    "returned": lambda call: call.returned,
    "succeeded": lambda call: call.succeeded,
    "failed": lambda call: call.returned and not call.succeeded,
    "thread": lambda call: call.thread,
    "caller": lambda call: call.caller,
    "time": lambda call: call.enter_ns,
    "took": lambda call: None if call.leave_ns is None else call.leave_ns - call.enter_ns,
}
_ARGUMENTS: dict[str, Callable[[Any], Any]] = {"in": lambda call: call.inputs, "out": lambda call: call.outputs}


class _Name(str):
    """A function's name, which patterns may also meet without the prefix that all of them have."""

    __slots__ = ()


class _Token(NamedTuple):
    sort: str
    value: Any
    text: str


def parse_where(text: str, calls: Iterable[CallSpec]) -> CallPredicate:
    """A test of a call. `calls` are the descriptions of a trace: a field that none of them has is an error, not a
    condition that never holds. UsageError says what cannot be understood."""
    if len(text) > LENGTH_LIMIT:
        raise UsageError(f"a condition has at most {LENGTH_LIMIT} characters, not {len(text)}")
    parser = _Parser(text, *_names(calls))
    condition = parser.parse_or(0)
    parser.expect_end()
    return condition


def _names(calls: Iterable[CallSpec]) -> tuple[set[str], set[str]]:
    """The names of fields, and the constants that they can be compared with."""
    names: set[str] = set()
    constants = {"NULL"}
    for call in calls:
        for struct in structures(call.argument):
            for field in struct.fields():
                names |= {field.name, *(arm.name for arm in getattr(field.type, "arms", ()))}
                type_, _ = element(field.type)
                if isinstance(type_, Flags):
                    names |= {bit.name for bit in type_.bits}
                elif isinstance(type_, Enum):
                    constants |= {name for name, _ in type_.members}
    return names, constants


class _Parser:
    def __init__(self, text: str, fields: set[str], constants: set[str]) -> None:
        self._text = text
        self._fields = fields
        self._constants = constants
        self._tokens = list(_tokens(text))
        self._at = 0

    def parse_or(self, depth: int) -> CallPredicate:
        """Conditions joined by "or"."""
        if depth > DEPTH_LIMIT:
            raise self._wrong("is nested too deeply")
        parts = [self.parse_and(depth)]
        while self._take("or"):
            parts.append(self.parse_and(depth))
        return parts[0] if len(parts) == 1 else lambda call: any(part(call) for part in parts)

    def expect_end(self) -> None:
        """Nothing may follow."""
        if self._at < len(self._tokens):
            raise self._wrong(f"is not understood from {self._tokens[self._at].text!r} on")

    def parse_and(self, depth: int) -> CallPredicate:
        parts = [self.parse_not(depth)]
        while self._take("and"):
            parts.append(self.parse_not(depth))
        return parts[0] if len(parts) == 1 else lambda call: all(part(call) for part in parts)

    def parse_not(self, depth: int) -> CallPredicate:
        negated = False
        while self._take("not"):
            negated = not negated
        if self._take("("):
            condition = self.parse_or(depth + 1)
            if not self._take(")"):
                raise self._wrong("lacks a )")
        else:
            condition = self._comparison()
        return (lambda call: not condition(call)) if negated else condition

    def _comparison(self) -> CallPredicate:
        at = self._at
        left = self._values()
        sign = next((sign for sign in _SIGNS if self._take(sign)), None)
        if sign is None:
            return lambda call: any(_holds(value) for value in left(call))
        right = self._values()
        if self._tokens[at].text == "status" and sign in ("==", "=", "!="):
            self._check_status(self._tokens[self._at - 1])
        test = _TESTS[sign]
        return lambda call: any(test(a, b) for a in left(call) for b in right(call))

    def _check_status(self, token: _Token) -> None:
        """A status that does not exist would never be found."""
        if token.sort == "text":
            ntstatus.status(token.value)

    def _values(self) -> Values:
        if self._at == len(self._tokens):
            raise self._wrong("ends too early")
        token = self._tokens[self._at]
        self._at += 1
        if token.sort in ("number", "text"):
            return lambda call: [token.value]
        if token.sort != "name" or token.value in ("and", "or", "not"):
            raise self._wrong(f"has {token.text!r} where a value should be")
        if token.value in FACTS:
            fact = FACTS[token.value]
            return lambda call: [value for value in (fact(call),) if value is not None]
        if token.value in _ARGUMENTS:
            return self._path(_ARGUMENTS[token.value])
        if token.value in self._constants or ntstatus.is_name(token.value):
            return lambda call: [token.value]
        known = ", ".join((*FACTS, *(f"{name}.FIELD" for name in _ARGUMENTS)))
        raise self._wrong(f"has {token.text!r}, which is no status, no value of an enumeration and none of {known}")

    def _path(self, argument: Callable[[Any], Any]) -> Values:
        steps: list[str | int | None] = []
        while True:
            if self._take("["):
                index = self._tokens[self._at] if self._at < len(self._tokens) else None
                if index is not None and index.sort == "number":
                    if not isinstance(index.value, int):
                        raise self._wrong(f"has {index.text} where the number of an element should be")
                    self._at += 1
                steps.append(index.value if index is not None and index.sort == "number" else None)
                if not self._take("]"):
                    raise self._wrong("lacks a ]")
            elif self._take("."):
                name = self._tokens[self._at].value if self._at < len(self._tokens) else ""
                if name not in self._fields:
                    raise self._wrong(f"names the field {name!r}, which no function of the trace has")
                steps.append(name)
                self._at += 1
            else:
                return lambda call: list(_follow(argument(call), steps))

    def _take(self, text: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at].text == text
        self._at += found
        return found

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"{self._text}: the condition {what}")


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise UsageError(f"{text}: the condition is not understood from {text[at:].strip()[:20]!r} on")
        at = match.end()
        if match["number"]:
            yield _Token("number", _number(text, match["number"], match["unit"]), match[0].strip())
        elif match["text"]:
            yield _Token("text", match["text"][1:-1], match[0].strip())
        else:
            yield _Token("name" if match["name"] else "sign", match["name"] or match["sign"], match[0].strip())


def _number(text: str, digits: str, unit: str | None) -> int | float:
    if unit and unit not in _TIMES:
        try:
            return parse_size(f"{digits}{unit}")
        except UsageError:
            raise UsageError(f"{text}: the condition has {digits}{unit}, which is no time and no size") from None
    number = int(digits, 16) if digits[:2].lower() == "0x" else float(digits) if "." in digits else int(digits)
    return number * _TIMES[unit] if unit else number


_NOTHING = object()


def _inside(value: Any, step: str | int | None) -> Any:
    """An element, a field or a bit."""
    if isinstance(step, int) and isinstance(value, list) and step < len(value):
        return value[step]
    if isinstance(step, str) and isinstance(value, Mapping) and step in value:
        return value[step]
    if isinstance(step, str) and isinstance(value, enum.IntFlag) and step in type(value).__members__:
        return bool(value & type(value)[step])
    return _NOTHING


def _follow(value: Any, steps: list[str | int | None]) -> Iterator[Any]:
    """What a path leads to: nothing where it leads nowhere, every element where no number is given."""
    for position, step in enumerate(steps):
        if step is None and isinstance(value, list):
            for each in value:
                yield from _follow(each, steps[position + 1 :])
            return
        if isinstance(step, str) and isinstance(value, list):
            yield from _follow(value, [None, *steps[position:]])
            return
        value = _inside(value, step)
        if value is _NOTHING:
            return
    yield value


def _holds(value: Any) -> bool:
    return isinstance(value, Unreadable) or bool(value)


def _plain(value: Any, other: Any) -> Any:
    """A value in the form that the other one has."""
    if isinstance(other, str):
        if isinstance(value, ntstatus.Status):
            return value.name
        if isinstance(value, enum.IntFlag):
            return " | ".join(bit.name or "" for bit in type(value) if bit & value == bit and bit)
        if isinstance(value, enum.IntEnum):
            return value.name
        if isinstance(value, bytes):
            return value.hex()
        return "NULL" if value is None else value
    return 0 if value is None else value


def _equal(a: Any, b: Any) -> bool:
    if b == "NULL" and not isinstance(a, (str, bytes)):
        return a is None or a == 0
    if isinstance(b, str) and isinstance(a, int) and re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|[0-9]+)", b):
        return a == int(b, 0)
    if isinstance(a, ntstatus.Status) and isinstance(b, str):
        return b in a.names
    return bool(_plain(a, b) == _plain(b, a))


def _like(a: Any, b: Any) -> bool:
    """Whether a value's text has the form of a pattern; of a word of bits, one of its names."""
    text, pattern = str(_plain(a, "")), str(b)
    names = text.split(" | ") if isinstance(a, enum.IntFlag) else [text]
    if isinstance(a, _Name):
        names += [text.removeprefix(prefix) for prefix in EXPORT_PREFIXES]
    return any(fnmatchcase(name, pattern) for name in names)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(a: Any, b: Any) -> bool:
        return isinstance(a, (int, float)) and isinstance(b, (int, float)) and test(a, b)

    return compare


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "=": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "~": _like,
    "!~": lambda a, b: not _like(a, b),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
}
