"""Faults in a running program: calls that the recorder answers itself, or delays.

    FUNCTION@N=STATUS                 call N of the function, counted from 1, is not made and returns STATUS
    FUNCTION@N+M=STATUS               call N, and every Mth call after it; without @N, every call
    ... =STATUS after                 the call is made, and its status is replaced
    ... =STATUS out.FIELD=NUMBER      a field of the argument structure is set as well
    ... =delay=20ms                   the call is made after a delay; STATUS delay=20ms returns the status after it
    ... if in.FIELD > 1 and in.FLAG   of these calls, those that satisfy all comparisons: of fields of the argument
                                      structure, thread == 2, time >= 5s, caller ~ 'd3d11.dll*'

FUNCTION may be a pattern. The calls of all its functions, in all threads of a process, are counted together.

The faults are words of the plan, behind the hook of their function; see hooks/call.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tracekmt import ntstatus
from tracekmt.errors import UsageError
from tracekmt.record.agent.plan import Plan
from tracekmt.spec import types as t
from tracekmt.spec.layout import FieldLocation, Layout, lay_out
from tracekmt.text.fault_text import FaultText, check_numbers, split_fault
from tracekmt.text.filter import parse_where
from tracekmt.text.functions import described_functions, matches_function, unknown_function
from tracekmt.text.units import parse_duration, parse_nanoseconds, parse_size

MAX_FAULTS = 64
"""Limit of faults in one recording. The recorder has a counter for each in one page."""

MAX_DELAY = 60.0
"""Longest delay in seconds."""

_REGISTERS = 6  # parameters of a function that the recorder replaces, as in hooks/stubs.js
_MAKES_CALL, _HAS_STATUS, _MARKS = 1, 2, 4
MAX_CALLERS = 4
"""Limit of different patterns of callers, as in hooks/faults.js."""

_U64 = (1 << 64) - 1
_THREAD_NUMBER = t.Integer("UINT", 4)
_SIGNS = {"==": 0, "=": 0, "!=": 1, "<": 2, "<=": 3, ">": 4, ">=": 5}
_OPPOSITE = {0: 1, 1: 0, 2: 5, 5: 2, 3: 4, 4: 3}
_COMPARISON = re.compile(
    r"(?P<not>not\s+)?(?P<path>in\.[\w.]+|time|thread)(?:\s*(?P<sign>==|=|!=|<=|>=|<|>)\s*(?P<value>[\w.]+))?"
)
_CALLER = re.compile(r"(?P<not>not\s+)?caller\s*(?P<sign>!?~)\s*(?P<quote>['\"])(?P<pattern>[^+'\"]*\*)(?P=quote)")
_FACTS = {"time": 0, "thread": 8, "caller": 16}
"""Offsets in Facts of hooks/call.c."""
_ACTION = re.compile(r"(?P<after>after)|delay=(?P<delay>\S+)|out\.(?P<path>[\w.]+)=(?P<value>\w+)|(?P<status>\w+)")


class _Comparison(NamedTuple):
    """A comparison of a fact of a call, or of an input, with a number.

    Attributes:
        path: "time", "thread" or "caller", or the path of a field behind "in.".
        sign: Number of the comparison.
        value: The number, or the pattern of a caller. It is text, because its meaning depends on the field.
    """

    path: str
    sign: int
    value: str


class LiveFault(NamedTuple):
    """A fault in a running program.

    Attributes:
        text: The fault as the user wrote it.
        function: Pattern of its functions.
        first: Number of the first call, 0 for every call.
        step: Distance to each further call, 0 for none.
        status: Status that the calls return, None for the function's own.
        delay: Seconds that the calls take longer.
        makes_call: True if the functions are called.
        outputs: Path and value of each output that is set.
        comparisons: Comparisons that the inputs satisfy.
    """

    text: str
    function: str
    first: int
    step: int
    status: ntstatus.Status | None
    delay: float
    makes_call: bool
    outputs: tuple[tuple[str, str], ...]
    comparisons: tuple[_Comparison, ...]


def parse_live_faults(texts: Iterable[str], specs: Iterable[t.CallSpec]) -> list[LiveFault]:
    """Parse the faults of a recording.

    Args:
        texts: The faults as the user wrote them.
        specs: Descriptions of the functions that are hooked.

    Raises:
        UsageError: A text is invalid, or the recorder cannot decide its condition.
    """
    hooked = list(specs)
    faults = [_parse(split_fault(text), hooked) for text in texts]
    if len(faults) > MAX_FAULTS:
        raise UsageError(f"invalid faults: {len(faults)} (expected at most {MAX_FAULTS})")
    return faults


def _parse(fault: FaultText, hooked: Sequence[t.CallSpec]) -> LiveFault:
    if not described_functions(fault.target):
        raise unknown_function(fault.target, f"fault {fault.text}")
    specs = [spec for spec in hooked if matches_function(fault.target, spec.name)]
    if not specs:
        raise UsageError(f"invalid fault: {fault.text} (--functions leaves out {fault.target})")
    check_numbers(fault)
    status, delay, makes_call = None, 0.0, False
    outputs: list[tuple[str, str]] = []
    for word in fault.result.split():
        match = _ACTION.fullmatch(word)
        if match is None or (match["status"] and status is not None):
            raise UsageError(
                f"invalid fault: {fault.text} (expected a status, delay=TIME, after or out.FIELD=NUMBER: {word})"
            )
        if match["after"]:
            makes_call = True
        elif match["delay"]:
            delay = parse_duration(match["delay"])
        elif match["path"]:
            outputs.append((match["path"], match["value"]))
        else:
            status = ntstatus.status(word)
    if delay > MAX_DELAY:
        raise UsageError(f"invalid fault: {fault.text} (expected a delay of at most {MAX_DELAY:.0f} s)")
    if status is None and (outputs or makes_call or not delay):
        raise UsageError(f"invalid fault: {fault.text} (expected a status)")
    comparisons: tuple[_Comparison, ...] = ()
    if fault.condition is not None:
        parse_where(fault.condition, specs)  # names a misspelt field
        comparisons = tuple(_parse_comparison(fault, part) for part in re.split(r"\s+and\s+", fault.condition))
    numbers = fault.first or 0, fault.step or 0
    return LiveFault(
        fault.text, fault.target, *numbers, status, delay, makes_call or status is None, tuple(outputs), comparisons
    )


def _parse_comparison(fault: FaultText, text: str) -> _Comparison:
    match = _CALLER.fullmatch(text.strip())
    if match is not None:
        is_equal = bool(match["not"]) == (match["sign"] == "!~")
        return _Comparison("caller", _SIGNS["!=" if is_equal else "=="], match["pattern"])
    match = _COMPARISON.fullmatch(text.strip())
    if match is None or (match["path"] in _FACTS and match["sign"] is None):
        raise UsageError(
            f"invalid fault: {fault.text} (the recorder decides only comparisons of in.FIELD, thread and time with a "
            f"number, and caller ~ 'MODULE*', joined by and: {text})"
        )
    sign = _SIGNS[match["sign"] or "!="]
    return _Comparison(match["path"], _OPPOSITE[sign] if match["not"] else sign, match["value"] or "0")


def callers_of(faults: Iterable[LiveFault]) -> list[str]:
    """Return the different patterns of callers in the conditions of faults.

    Raises:
        UsageError: There are more than the recorder compares.
    """
    values = (each.value for fault in faults for each in fault.comparisons if each.path == "caller")
    patterns = list(dict.fromkeys(values))
    if len(patterns) > MAX_CALLERS:
        raise UsageError(f"invalid faults: {len(patterns)} patterns of callers (expected at most {MAX_CALLERS})")
    return patterns


def add_faults(plan: Plan, faults: Sequence[LiveFault], specs: Mapping[int, t.CallSpec], abi: t.Abi) -> None:
    """Append the faults to a plan, and enter them in the hooks of their functions.

    Raises:
        UsageError: The recorder cannot inject a fault into any of its functions.
    """
    words: dict[str, list[list[int]]] = {}
    callers = callers_of(faults)
    for number, fault in enumerate(faults):
        reasons: list[str] = []
        for spec in specs.values():
            if matches_function(fault.function, spec.name) and not spec.raw:
                try:
                    words.setdefault(spec.name, []).append(_compile(number, fault, callers, spec, abi))
                except _Refusal as refusal:
                    reasons.append(f"{spec.name}: {refusal}")
        if not any(number == fault_words[0] for each in words.values() for fault_words in each):
            raise UsageError(f"invalid fault: {fault.text} ({reasons[0]})")
    for name, function_faults in words.items():
        if function_faults:
            plan.words[plan.hooks[name] + 3] = len(plan.words)
            plan.words += [len(function_faults), *(word for fault_words in function_faults for word in fault_words)]


class _Refusal(Exception):  # noqa: N818 (a pattern goes on with its other functions)
    """A fault cannot be injected into a function. The message is the reason."""


def _compile(number: int, fault: LiveFault, callers: list[str], spec: t.CallSpec, abi: t.Abi) -> list[int]:
    layout = lay_out(spec.argument, abi)
    if spec.argument.parameters and len(layout.slots) > _REGISTERS:
        raise _Refusal(f"it has {len(layout.slots)} parameters (expected at most {_REGISTERS})")
    if fault.status is not None and spec.returns != "NTSTATUS":
        raise _Refusal("it returns no NTSTATUS")
    if fault.outputs and spec.argument.parameters:
        raise _Refusal("it takes no structure")
    conditions = [
        _fact_words(comparison, callers) if comparison.path in _FACTS else _comparison_words(comparison, spec, layout)
        for comparison in fault.comparisons
    ]
    outputs = [_output_words(path, value, layout) for path, value in fault.outputs]
    flags = fault.makes_call * _MAKES_CALL | (fault.status is not None) * _HAS_STATUS
    flags |= (spec.returns == "NTSTATUS") * _MARKS
    status = 0 if fault.status is None else int(fault.status) & 0xFFFFFFFF
    head = [number, fault.first, fault.step, status, round(fault.delay * 1_000_000), flags]
    return [*head, len(conditions), len(outputs), *(word for words in (*conditions, *outputs) for word in words)]


def _fact_words(comparison: _Comparison, callers: list[str]) -> list[int]:
    """Return the words of a comparison of time, thread or caller; see `_comparison_words`."""
    mask, value = _U64, 0
    if comparison.path == "caller":
        mask = 1 << callers.index(comparison.value)
    elif comparison.path == "time":
        value = parse_nanoseconds(comparison.value)
    else:
        value = _number(comparison.value, _THREAD_NUMBER, "thread")
    return [2, _FACTS[comparison.path], 8, comparison.sign, *_two_words(mask), *_two_words(value)]


def _comparison_words(comparison: _Comparison, spec: t.CallSpec, layout: Layout) -> list[int]:
    """Return the level, offset, size and comparison, and the mask and the value in two words each."""
    path = comparison.path.removeprefix("in.")
    location = _locate(path, layout)
    type_, offset, level = location.type, location.offset, 1
    if spec.argument.parameters:
        size = t.POINTER_SIZE[layout.abi]
        offset, level = 8 * (offset // size) + offset % size, 0
    is_signed = isinstance(type_, t.Enum) or (isinstance(type_, t.Integer) and type_.signed)
    if is_signed and comparison.sign > _SIGNS["!="]:
        raise _Refusal(f"{path} has a sign (expected == or !=)")
    if location.mask is not None and (comparison.sign > _SIGNS["!="] or comparison.value != "0"):
        raise _Refusal(f"{path} is a flag (expected in.{path} or not in.{path})")
    mask = (1 << 8 * location.size) - 1 if location.mask is None else location.mask
    value = _number(comparison.value, type_, path) & mask
    return [level, offset, location.size, comparison.sign, *_two_words(mask), *_two_words(value)]


def _output_words(path: str, value: str, layout: Layout) -> list[int]:
    """Return the offset, the size, and the value in two words."""
    location = _locate(path, layout)
    if location.mask is not None or not isinstance(location.type, (t.Integer, t.Enum)):
        raise _Refusal(f"{path} is not a number")
    number = _number(value, location.type, path)
    if number >> 8 * location.size:
        raise _Refusal(f"{value} does not fit into {path}")
    return [location.offset, location.size, *_two_words(number)]


def _locate(path: str, layout: Layout) -> FieldLocation:
    """Return the location of a number in the argument structure itself, which is always in effect."""
    name = path.partition(".")[0]
    slot = next((slot for slot in layout.slots if slot.field.name == name), None)
    try:
        location = layout.locate(path)
    except KeyError:
        raise _Refusal(f"{path} is not in the structure itself") from None
    is_choice = slot is not None and slot.union is not None and not slot.union.by_call
    if is_choice or not isinstance(location.type, (t.Integer, t.Enum, t.Flags, t.Address, *t.POINTER_TYPES)):
        raise _Refusal(f"{path} is not a number at a fixed place")
    return location


def _number(text: str, type_: t.Type, path: str) -> int:
    if isinstance(type_, t.Enum) and text in dict(type_.members):
        return type_.number(text)
    try:
        return 0 if text == "NULL" else int(text, 0)
    except ValueError:
        pass
    try:
        return parse_size(text)
    except UsageError:
        raise _Refusal(f"invalid value of {path}: {text} (expected a number)") from None


def _two_words(number: int) -> tuple[int, int]:
    return number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF
