"""Format of the output of a reproducer, and its parser.

docs/reproducer.md describes the lines. Outputs of older reproducers must stay readable.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tracekmt.errors import TraceError
from tracekmt.spec.types import Abi
from tracekmt.trace.events import Header

VERSION = 1
SIZE_LIMIT = 1 << 30
"""Maximum size of an output file in bytes."""

_HEAD = re.compile(r"tracekmt reproducer (\d{1,9}) trace ([0-9a-f]{16}) calls (\d{1,18}) pointers ([48]) wchar ([24])")
_CALL = re.compile(r"call (\d{1,18}) (\S{1,400})")
_RESULT = re.compile(r"result (0x[0-9a-f]{8}|void|missing|skipped)(  DIFFERENT: .*)?")
_FIELD = re.compile(r'  (\S+) ("(?:[^"\\]|\\.)*"|[^\s"]+)(  (?:DIFFERENT|opaque)\b.*)?')
_CASE = re.compile(r"case (\d{1,9})(?: after (\d{1,9}(?:,\d{1,9})*))?: (\w{1,100}) (.{1,1000})")
_BEFORE = re.compile(r"before (.{1,1000})")
_UNTRIED = re.compile(r"not tried: (.{1,1000})")
_MISSING = re.compile(r"missing (\S{1,400})")
_AGAIN = re.compile(r"again (0x[0-9a-f]{8}|crashed)")
_CRASHED = "note the call crashed"
_END = re.compile(r"end (\d{1,18}) calls, (\d{1,18}) different")


def escape_name(text: str) -> str:
    """Escape a path or a function name, so that it has only printable ASCII characters without spaces."""
    return "".join(c if "!" <= c <= "~" and c != "\\" else f"\\u{ord(c):04x}" for c in text)


def trace_fingerprint(header: Header) -> str:
    """Return a hash that identifies a trace. A trimmed trace has the fingerprint of its original."""
    # The hash is part of the output format, so these values must not change.
    identity = [header.created, header.base_abi, header.wchar, header.clock]
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=repr).encode()).hexdigest()[:16]


@dataclass
class CallOutput:
    """Output of one call.

    Attributes:
        line: Line number of the call.
        name: Escaped name of the function.
        result: The return value. None if the call did not return, or if its function is missing.
        missing: True if no library exports the function.
        fields: Line number and text of each written field, by its escaped path.
        crashed: True if the call crashed, or one of its repetitions.
        others: Different return values of repetitions.
    """

    line: int
    name: str
    result: int | None = None
    missing: bool = False
    fields: dict[str, tuple[int, str]] = field(default_factory=dict)
    crashed: bool = False
    others: list[int] = field(default_factory=list)


@dataclass
class CaseOutput:
    """Output of one case of an atlas.

    Attributes:
        number: Number of the case.
        needs: Indexes of the calls that create the objects of the case.
        status: Name of the status of the rule.
        rule: Name of the rule: the function and the reason.
        later: Reason of a rule that the case breaks too, empty without one.
        untried: Why the program does not make the call, empty if it does.
        call: Output of the call, None without one.
    """

    number: int
    needs: tuple[int, ...]
    status: str
    rule: str
    later: str = ""
    untried: str = ""
    call: CallOutput | None = None


@dataclass
class ReproducerOutput:
    """Output of a reproducer.

    Attributes:
        path: The file.
        fingerprint: Fingerprint of the trace.
        expected_calls: Number of calls in the reproducer.
        abi: ABI of the reproducer.
        calls: Output of each call, by its index.
        complete: True if the reproducer finished.
        cases: The cases of an atlas.
        missing: Names of the functions that no library exports, of an atlas only.
        untried: Reason of the cases that are not tried and follow. Empty before the first one and after the last.
    """

    path: Path
    fingerprint: str
    expected_calls: int
    abi: Abi
    calls: dict[int, CallOutput]
    complete: bool = False
    cases: list[CaseOutput] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    untried: str = ""


def read_output(path: Path) -> ReproducerOutput:
    """Parse the output of a reproducer.

    Raises:
        TraceError: The file cannot be read, or a line is invalid. The message names the line.
    """
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise TraceError(f"cannot read {path}: larger than {SIZE_LIMIT >> 30} GB")
        text = path.read_bytes().decode("ascii")
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise TraceError(f"{path}: line {number}: not the output of a reproducer (expected ASCII)") from None
    lines = text.split("\n")
    truncated_line = len(lines) if lines[-1] else 0
    output = _parse_head(path, lines[0].rstrip("\r"))
    _parse_calls(output, enumerate(lines[1:] if truncated_line else lines[1:-1], 2), truncated_line)
    if not output.complete and output.calls:
        # The reproducer ended inside this call, or its output was cut off.
        last = output.calls[next(reversed(output.calls))]
        last.result, last.fields = None, {}
    return output


def _parse_head(path: Path, line: str) -> ReproducerOutput:
    head = _HEAD.fullmatch(line)
    if head is None:
        raise TraceError(f"{path}: line 1: not the output of a reproducer (expected `tracekmt reproducer ...`)")
    if int(head[1]) != VERSION:
        raise TraceError(f"{path}: line 1: unsupported version: {head[1]} (expected {VERSION})")
    abi: Abi = "x86" if head[4] == "4" else "wsl" if head[5] == "4" else "x64"
    return ReproducerOutput(path, head[2], int(head[3]), abi, {})


def _parse_calls(output: ReproducerOutput, lines: Iterator[tuple[int, str]], truncated_line: int) -> None:
    """Parse the lines after the first. The truncated line is skipped, since it can be the start of any line.

    Args:
        output: The output to add the calls to.
        lines: Line numbers and lines.
        truncated_line: Number of the last line if it lacks a line end, otherwise 0.
    """
    call_output: CallOutput | None = None
    for number, raw_line in lines:
        line = raw_line.rstrip("\r")
        where = f"{output.path}: line {number}"
        if number == truncated_line:
            return
        if output.complete:
            raise TraceError(f"{where}: unexpected line after the end line")
        if match := _CALL.fullmatch(line):
            call_output = CallOutput(number, match[2])
            if int(match[1]) in output.calls:
                raise TraceError(f"{where}: call {match[1]} is duplicated")
            output.calls[int(match[1])] = call_output
            output.untried = ""
            if output.cases and output.cases[-1].call is None and not output.cases[-1].untried:
                output.cases[-1].call = call_output
                output.cases[-1].rule = f"{match[2]}: {output.cases[-1].rule}"
        elif (match := _RESULT.fullmatch(line)) and call_output is not None and _expects_result(call_output):
            call_output.missing = match[1] == "missing"
            if match[1] not in ("missing", "skipped"):
                call_output.result = 0 if match[1] == "void" else int(match[1], 16)
        elif (match := _FIELD.fullmatch(line)) and call_output is not None and call_output.result is not None:
            if match[1] in call_output.fields:
                raise TraceError(f"{where}: {match[1][:80]} is duplicated")
            call_output.fields[match[1]] = number, match[2]
        elif match := _END.fullmatch(line):
            calls, expected = len(output.calls), output.expected_calls
            if output.cases:  # cases of missing functions are not printed
                expected = int(match[1])
            if calls != expected:
                raise TraceError(f"{where}: invalid number of calls: {calls} (expected {expected}, from line 1)")
            output.complete = True
        elif (
            not _parse_case(output, line, call_output)
            and not line.startswith("note ")
            and not line.startswith("library ")
        ):
            raise TraceError(f"{where}: unexpected line in the output of a reproducer: {line[:40]!r}")


def _parse_case(output: ReproducerOutput, line: str, call_output: CallOutput | None) -> bool:
    """Parse a line that only an atlas prints. Return False if it is another line."""
    if match := _CASE.fullmatch(line):
        needs = tuple(int(index) for index in match[2].split(",")) if match[2] else ()
        output.cases.append(CaseOutput(int(match[1]), needs, match[3], match[4], untried=output.untried))
    elif match := _UNTRIED.fullmatch(line):
        output.untried = match[1]
    elif (match := _BEFORE.fullmatch(line)) and output.cases and output.cases[-1].call is None:
        output.cases[-1].later = match[1]
    elif match := _MISSING.fullmatch(line):
        output.missing.add(match[1])
    elif (match := _AGAIN.fullmatch(line)) and call_output is not None and call_output.result is not None:
        if match[1] == "crashed":
            call_output.crashed = True
        else:
            call_output.others.append(int(match[1], 16))
    elif line == _CRASHED and call_output is not None:
        call_output.crashed = True
    else:
        return False
    return True


def _expects_result(call_output: CallOutput) -> bool:
    return call_output.result is None and not call_output.missing
