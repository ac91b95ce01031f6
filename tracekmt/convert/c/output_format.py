"""What a reproducer prints: how it names things, and how it is read back."""

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

_HEAD = re.compile(r"tracekmt reproducer (\d{1,9}) trace ([0-9a-f]{16}) calls (\d{1,18}) pointers ([48]) wchar ([24])")
_CALL = re.compile(r"call (\d{1,18}) (\S{1,400})")
_RESULT = re.compile(r"result (0x[0-9a-f]{8}|void|missing)(  DIFFERENT: .*)?")
_FIELD = re.compile(r'  (\S+) ("(?:[^"\\]|\\.)*"|[^\s"]+)(  (?:DIFFERENT|opaque)\b.*)?')
_END = re.compile(r"end (\d{1,18}) calls, (\d{1,18}) different")


def escape_name(text: str) -> str:
    """A path or a name as it stands in a line: plain characters without spaces."""
    return "".join(c if "!" <= c <= "~" and c != "\\" else f"\\u{ord(c):04x}" for c in text)


def trace_fingerprint(header: Header) -> str:
    """What tells the printout of one trace from that of another; a part of a trace has the mark of the whole."""
    told = [header.created, header.abi, header.wchar, header.clock]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=repr).encode()).hexdigest()[:16]


@dataclass
class CallOutput:
    """One call: where it stands in the printout, its result (None: it did not return), whether its function was not
    there, and the fields that it wrote, by their paths: each with its line."""

    line: int
    name: str
    result: int | None = None
    missing: bool = False
    fields: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass
class ReproducerOutput:
    """Everything that a reproducer printed. announced: how many calls it was going to make. whole: it came to its
    end."""

    path: Path
    mark: str
    announced: int
    abi: Abi
    calls: dict[int, CallOutput]
    whole: bool = False


def read(path: Path) -> ReproducerOutput:
    """What a reproducer printed into a file. TraceError names the line that is none of its own."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise TraceError(f"{path}: is larger than any printout of a reproducer")
        text = path.read_bytes().decode("ascii")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or 'cannot be opened'}") from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n") + 1
        raise TraceError(f"{path}: line {before}: is not what a reproducer prints") from None
    lines = text.split("\n")
    torn = len(lines) if lines[-1] else 0
    printout = _begun(path, lines[0].rstrip("\r"))
    _read_calls(printout, enumerate(lines[1:] if torn else lines[1:-1], 2), torn)
    if not printout.whole and printout.calls:
        # It ended within this call, or in the middle of what it wrote.
        last = printout.calls[next(reversed(printout.calls))]
        last.result, last.fields = None, {}
    return printout


def _begun(path: Path, line: str) -> ReproducerOutput:
    head = _HEAD.fullmatch(line)
    if head is None:
        raise TraceError(f"{path}: line 1: is not how the printout of a reproducer begins")
    if int(head[1]) != VERSION:
        raise TraceError(f"{path}: line 1: is of version {head[1]}; this tracekmt reads version {VERSION}")
    abi: Abi = "x86" if head[4] == "4" else "wsl" if head[5] == "4" else "x64"
    return ReproducerOutput(path, head[2], int(head[3]), abi, {})


def _read_calls(printout: ReproducerOutput, lines: Iterator[tuple[int, str]], torn: int) -> None:
    """torn: the number of the last line, if that has no end; it may be the beginning of anything."""
    call: CallOutput | None = None
    for number, ended in lines:
        line = ended.rstrip("\r")
        where = f"{printout.path}: line {number}"
        if number == torn:
            return
        if printout.whole:
            raise TraceError(f"{where}: stands behind the printout's end")
        if found := _CALL.fullmatch(line):
            call = CallOutput(number, found[2])
            if int(found[1]) in printout.calls:
                raise TraceError(f"{where}: call {found[1]} stands there twice")
            printout.calls[int(found[1])] = call
        elif (found := _RESULT.fullmatch(line)) and call is not None and call.result is None and not call.missing:
            call.missing = found[1] == "missing"
            call.result = None if call.missing else 0 if found[1] == "void" else int(found[1], 16)
        elif (found := _FIELD.fullmatch(line)) and call is not None and call.result is not None:
            if found[1] in call.fields:
                raise TraceError(f"{where}: {found[1][:80]} stands there twice")
            call.fields[found[1]] = number, found[2]
        elif _END.fullmatch(line):
            if len(printout.calls) != printout.announced:
                raise TraceError(f"{where}: has {len(printout.calls)} calls, where line 1 has {printout.announced}")
            printout.whole = True
        elif not line.startswith("note ") and not line.startswith("library "):
            raise TraceError(f"{where}: is not what a reproducer prints there")
