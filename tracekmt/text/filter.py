"""The condition language of `--where` and rules: failed and call ~ 'Create*' and in.NumAllocations > 1.

A condition is parsed into Python functions that take a call. None of its text is evaluated by Python.
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
from tracekmt.spec.types import CallSpec, Enum, Flags, Union
from tracekmt.text.functions import check_function, matches_function
from tracekmt.text.units import NANOSECONDS, parse_size

CallPredicate = Callable[[Any], bool]
"""A test of a call. It reads only the attributes that the condition names."""

Values = Callable[[Any], list[Any]]
"""Evaluates an expression for a call. A missing value gives an empty list, a path through an array one value each."""

LENGTH_LIMIT = 4096
"""Maximum number of characters of a condition."""

DEPTH_LIMIT = 64
"""Maximum depth of nested parentheses."""

_EXCERPT_BEFORE, _EXCERPT_AFTER = 30, 50
"""Characters of a condition that an error shows around the place of the error."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?)(?P<unit>[a-zA-Z]+)?(?![\w.])"
    r"|(?P<text>'[^']*'|\"[^\"]*\")|(?P<name>[A-Za-z_]\w*)|(?P<sign>==|!=|!~|<=|>=|[=<>~()\[\].]))"
)
_SIGNS = ("==", "=", "!=", "<", "<=", ">", ">=", "~", "!~")

_PROPERTIES: dict[str, Callable[[Any], Any]] = {
    "call": lambda call: _FunctionName(call.name),
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


class _FunctionName(str):
    """Name of a function. It is written with or without the prefix of the interface's exports."""

    __slots__ = ()


class _Token(NamedTuple):
    """A token of a condition.

    Attributes:
        sort: "number", "text", "name" or "sign".
        value: Its value.
        text: Its characters.
        start: Its position in the condition.
    """

    sort: str
    value: Any
    text: str
    start: int


def parse_where(text: str, specs: Iterable[CallSpec]) -> CallPredicate:
    """Parse a condition.

    Args:
        text: The condition.
        specs: Descriptions of the functions in the trace. A field that none of them has is an error, because a
            condition on it would never be true.

    Raises:
        UsageError: The text is not a condition.
    """
    if len(text) > LENGTH_LIMIT:
        raise UsageError(f"invalid condition: {len(text)} characters (expected at most {LENGTH_LIMIT})")
    parser = _Parser(text, *_names(specs))
    condition = parser.parse_or(0)
    parser.expect_end()
    return condition


def _names(specs: Iterable[CallSpec]) -> tuple[set[str], set[str]]:
    """Return the names of all fields, and the constants that a condition may compare them with."""
    names: set[str] = set()
    constants = {"NULL"}
    for spec in specs:
        for struct in structures(spec.argument):
            for field in struct.fields():
                names.add(field.name)
                if isinstance(field.type, Union):
                    names |= {arm.name for arm in field.type.arms}
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
        self._tokens = list(_tokenize(text))
        self._position = 0

    def parse_or(self, depth: int) -> CallPredicate:
        """Parse conditions joined by "or"."""
        if depth > DEPTH_LIMIT:
            raise self._error("too many nested parentheses")
        parts = [self.parse_and(depth)]
        while self._take("or"):
            parts.append(self.parse_and(depth))
        return parts[0] if len(parts) == 1 else lambda call: any(part(call) for part in parts)

    def expect_end(self) -> None:
        """Refuse any remaining tokens."""
        if self._position < len(self._tokens):
            raise self._error(f"unexpected {self._tokens[self._position].text!r}")

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
                raise self._error("missing )")
        else:
            condition = self._comparison()
        return (lambda call: not condition(call)) if negated else condition

    def _comparison(self) -> CallPredicate:
        start = self._position
        left = self._values()
        sign = next((sign for sign in _SIGNS if self._take(sign)), None)
        if sign is None:
            return lambda call: any(_is_true(value) for value in left(call))
        right = self._values()
        if self._tokens[start].text == "status" and sign in ("==", "=", "!="):
            self._check_status(self._tokens[self._position - 1])
        if self._tokens[start].text == "call" and self._tokens[self._position - 1].sort == "text":
            check_function(self._tokens[self._position - 1].value, "a condition")
        test = _TESTS[sign]
        return lambda call: any(test(a, b) for a in left(call) for b in right(call))

    def _check_status(self, token: _Token) -> None:
        """Refuse an unknown status, because a comparison with it would never be true."""
        if token.sort == "text":
            ntstatus.status(token.value)

    def _values(self) -> Values:
        if self._position == len(self._tokens):
            raise self._error("a value is missing at the end")
        token = self._tokens[self._position]
        if token.sort in ("number", "text"):
            self._position += 1
            return lambda call: [token.value]
        if token.sort != "name" or token.value in ("and", "or", "not"):
            raise self._error(f"unexpected {token.text!r} (expected a value)")
        if token.value in _PROPERTIES:
            self._position += 1
            get = _PROPERTIES[token.value]
            return lambda call: [value for value in (get(call),) if value is not None]
        if token.value in _ARGUMENTS:
            self._position += 1
            return self._path(_ARGUMENTS[token.value])
        if token.value in self._constants or ntstatus.is_name(token.value):
            self._position += 1
            return lambda call: [token.value]
        names = ", ".join((*_PROPERTIES, *(f"{name}.FIELD" for name in _ARGUMENTS)))
        raise self._error(f"unknown name {token.text!r} (expected a status, an enumeration value, or one of {names})")

    def _path(self, get_argument: Callable[[Any], Any]) -> Values:
        steps: list[str | int | None] = []
        while True:
            if self._take("["):
                index = self._tokens[self._position] if self._position < len(self._tokens) else None
                if index is not None and index.sort == "number":
                    if not isinstance(index.value, int):
                        raise self._error(f"invalid element number: {index.text}")
                    self._position += 1
                steps.append(index.value if index is not None and index.sort == "number" else None)
                if not self._take("]"):
                    raise self._error("missing ]")
            elif self._take("."):
                name = self._tokens[self._position].value if self._position < len(self._tokens) else ""
                if name not in self._fields:
                    raise self._error(f"no function of the trace has a field {name!r}")
                steps.append(name)
                self._position += 1
            else:
                return lambda call: list(_follow(get_argument(call), steps))

    def _take(self, text: str) -> bool:
        is_next = self._position < len(self._tokens) and self._tokens[self._position].text == text
        self._position += is_next
        return is_next

    def _error(self, reason: str) -> UsageError:
        """Create an error at the current token."""
        is_end = self._position == len(self._tokens)
        return _condition_error(self._text, len(self._text) if is_end else self._tokens[self._position].start, reason)


def _condition_error(text: str, start: int, reason: str) -> UsageError:
    first, last = max(start - _EXCERPT_BEFORE, 0), start + _EXCERPT_AFTER
    excerpt = ("..." if first else "") + " ".join(text[first:last].split()) + ("..." if last < len(text) else "")
    return UsageError(f"invalid condition: {reason}, at column {start + 1}: {excerpt}")


def _tokenize(text: str) -> Iterator[_Token]:
    end = 0
    while rest := text[end:].strip():
        match = _TOKEN.match(text, end)
        if match is None:
            start = len(text) - len(text[end:].lstrip())
            raise _condition_error(text, start, f"unexpected {rest[:20]!r}")
        end = match.end()
        characters = match[0].strip()
        start = end - len(characters)
        if match["number"]:
            yield _Token("number", _number(text, start, match["number"], match["unit"]), characters, start)
        elif match["text"]:
            yield _Token("text", match["text"][1:-1], characters, start)
        else:
            yield _Token("name" if match["name"] else "sign", match["name"] or match["sign"], characters, start)


def _number(text: str, start: int, digits: str, unit: str | None) -> int | float:
    if unit and unit not in NANOSECONDS:
        try:
            return parse_size(f"{digits}{unit}")
        except UsageError:
            raise _condition_error(text, start, f"{digits}{unit} is neither a time nor a size") from None
    number = int(digits, 16) if digits[:2].lower() == "0x" else float(digits) if "." in digits else int(digits)
    return number * NANOSECONDS[unit] if unit else number


_MISSING = object()


def _step_into(value: Any, step: str | int | None) -> Any:
    """Return an element, a field or a bit of a value, or _MISSING."""
    if isinstance(step, int) and isinstance(value, list) and step < len(value):
        return value[step]
    if isinstance(step, str) and isinstance(value, Mapping) and step in value:
        return value[step]
    if isinstance(step, str) and isinstance(value, enum.IntFlag) and step in type(value).__members__:
        return bool(value & type(value)[step])
    return _MISSING


def _follow(value: Any, steps: list[str | int | None]) -> Iterator[Any]:
    """Iterate over the values at a path. A step into an array without a number selects every element."""
    for position, step in enumerate(steps):
        if step is None and isinstance(value, list):
            for item in value:
                yield from _follow(item, steps[position + 1 :])
            return
        if isinstance(step, str) and isinstance(value, list):
            yield from _follow(value, [None, *steps[position:]])
            return
        value = _step_into(value, step)
        if value is _MISSING:
            return
    yield value


def _is_true(value: Any) -> bool:
    return isinstance(value, Unreadable) or bool(value)


def _comparable(value: Any, other: Any) -> Any:
    """Convert a value to text if it is compared with text, otherwise to a number."""
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
    if isinstance(a, _FunctionName):
        return isinstance(b, str) and b in (a, *(a.removeprefix(prefix) for prefix in EXPORT_PREFIXES))
    return bool(_comparable(a, b) == _comparable(b, a))


def _matches(a: Any, b: Any) -> bool:
    """Return True if a value's text matches a pattern. One matching bit of a flag word is enough."""
    text, pattern = str(_comparable(a, "")), str(b)
    if isinstance(a, _FunctionName):
        return matches_function(pattern, text)
    names = text.split(" | ") if isinstance(a, enum.IntFlag) else [text]
    return any(fnmatchcase(name, pattern) for name in names)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(a: Any, b: Any) -> bool:
        return isinstance(a, (int, float)) and isinstance(b, (int, float)) and test(a, b)

    return compare


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "=": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "~": _matches,
    "!~": lambda a, b: not _matches(a, b),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
}
