"""Traces as lines of JSON, and back.

The first line is the header, with descriptions, modules and threads; then a line for each call, as `dump --json` has
it, and under "raw" what it was decoded from; a line for each loss where it stands; at the end how the recording ended.
What is read back from "raw" is the same trace to the byte of every region. Lines without it are laid out from their
values, as a trace made by hand is.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from tracekmt.calls import CALLS
from tracekmt.edit.copy import refuse_output, replacing
from tracekmt.errors import Error, TraceError, UsageError
from tracekmt.spec import serial
from tracekmt.trace import events
from tracekmt.trace.builder import Builder
from tracekmt.trace.events import Enter, Leave, Lost, Region
from tracekmt.trace.reader import Trace, TracedCall
from tracekmt.trace.writer import Writer

LINE_LIMIT = 256 << 20
"""Characters of one line at most: a call with all of its memory, as digits."""

Json = dict[str, Any]
Progress = Callable[[int, int], None]


def to_lines(trace: Trace, on_progress: Progress = lambda done, of: None) -> Iterator[str]:
    """A trace as lines of JSON, without their ends."""
    header = trace.header.to_data()
    first = {
        "tracekmt": "trace",
        "header": header,
        "threads": list(trace.threads),
        "modules": [[module.name, module.path, f"0x{module.base:x}", module.size] for module in trace.modules],
        "descriptions": [
            {"id": number, "description": serial.to_data(call)} for number, call in trace.described.items()
        ],
    }
    try:
        same = json.loads(json.dumps(header)) == header
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise UsageError(f"{trace.path}: its header holds what JSON cannot")
    yield json.dumps(first)
    losses = list(trace.losses())
    for call in trace.calls():
        while losses and losses[0].sequence < call.enter.sequence:
            yield _lost_line(losses.pop(0))
        yield json.dumps({**call.to_json(), "raw": _raw(call)})
        on_progress(call.index, len(trace))
    for lost in losses:
        yield _lost_line(lost)
    if trace.ended is not None or trace.torn:
        yield json.dumps({"tracekmt": "end", "how": trace.ended, "torn": trace.torn})


def _lost_line(lost: Lost) -> str:
    return json.dumps({"tracekmt": "lost", "sequence": lost.sequence, "count": lost.count})


def _raw(call: TracedCall) -> Json:
    """The events of a call. Numbers of more than 32 bits are strings, since many readers of JSON lose digits."""
    enter, leave = call.enter, call.leave
    told: Json = {
        "id": enter.spec_id,
        "thread": enter.thread,
        "caller": f"0x{enter.caller:x}",
        "arguments": [f"0x{argument:x}" for argument in enter.arguments],
        "enter": {"sequence": enter.sequence, "time": str(enter.time), "regions": _region_rows(enter.regions)},
        "leave": None,
    }
    if leave is not None:
        told["leave"] = {
            "sequence": leave.sequence,
            "time": str(leave.time),
            "result": f"0x{leave.result:x}",
            "regions": _region_rows(leave.regions, enter.regions),
        }
    return told


def _region_rows(regions: Iterable[Region], entered: Iterable[Region] = ()) -> list[Any]:
    """Regions; one that is as it was when the call was entered is told by its number there."""
    known = {region: number for number, region in enumerate(entered)}
    return [
        known[region] if region in known else [f"0x{region[0]:x}", region[1], region[2].hex()] for region in regions
    ]


def from_lines(source: Path, to: Path, *, force: bool = False, on_progress: Progress = lambda done, of: None) -> int:
    """Write the trace that lines of JSON are; gives the number of its calls. UsageError names a line that is wrong."""
    refuse_output(source, to, force=force)
    try:
        with source.open(encoding="utf-8", errors="strict") as file:
            lines = _Lines(source, file)
            with replacing(to) as part:
                made = _from_raw(lines, part) if lines.raw else _from_values(lines, part)
                if lines.raw:
                    _check(source, part, on_progress)
    except UnicodeDecodeError:
        raise UsageError(f"{source}: is no text in UTF-8") from None
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror or 'cannot be read'}") from None
    return made


class _Lines:
    """The lines of a file, one after the other, by what they are; raw: whether calls hold what was recorded."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self.number = 0
        self.header: Json = {}
        self._file = file
        self._waiting: Json | None = self._next()
        if self._waiting is not None and self._waiting.get("tracekmt") == "trace":
            self.header, self._waiting = self._waiting, self._next()
        self.raw = self._waiting is None or "raw" in self._waiting or "tracekmt" in self._waiting

    def __iter__(self) -> Iterator[Json]:
        while self._waiting is not None:
            yield self._waiting
            self._waiting = self._next()

    def wrong(self, what: str) -> UsageError:
        """The error for the line at hand."""
        return UsageError(f"{self.path}: line {self.number}: {what}")

    def _next(self) -> Json | None:
        while text := self._file.readline(LINE_LIMIT):
            self.number += 1
            if not text.strip():
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise self.wrong(f"is no JSON ({str(error)[:60]})") from None
            if not isinstance(value, dict):
                raise self.wrong("is no object")
            return value
        return None


def _from_raw(lines: _Lines, to: Path) -> int:
    writer = _begin(lines, to)
    pending: list[tuple[int, int, Leave]] = []
    calls = 0
    end: Json | None = None
    try:
        for line in lines:
            if end is not None:
                raise lines.wrong("stands behind the end")
            try:
                enters: Enter | Lost | None = None
                match line.get("tracekmt"):
                    case None:
                        enters, leave = _events(line)
                        calls += 1
                    case "lost":
                        enters, leave = Lost(_count(line["sequence"]), _count(line["count"])), None
                    case "end":
                        end = line
                        continue
                    case other:
                        raise ValueError(f"is a {other!r}, which this version does not know")
                # Lines are in the order in which calls were entered; what returned meanwhile comes before.
                while pending and pending[0][0] < enters.sequence:
                    writer.events([heapq.heappop(pending)[2]], flush=False)
                writer.events([enters], flush=False)
                if leave is not None:
                    heapq.heappush(pending, (leave.sequence, leave.enter, leave))
            except KeyError as error:
                raise lines.wrong(f"lacks {error.args[0]}") from None
            except (ValueError, TypeError, TraceError) as error:
                raise lines.wrong(str(error)) from None
        while pending:
            writer.events([heapq.heappop(pending)[2]], flush=False)
        if end is not None and end.get("how") is not None:
            writer.end(str(end["how"]), None if end.get("torn") is None else str(end["torn"]))
    finally:
        writer.close()
    return calls


def _begin(lines: _Lines, to: Path) -> Writer:
    """The trace that the first line says."""
    first = lines.header
    if not first:
        raise lines.wrong('the first line is not that of a trace ("tracekmt": "trace")')
    try:
        where = f"{lines.path}: line 1"
        header = events.header_from(first["header"], where)
        described = []
        for each in first["descriptions"]:
            call = serial.call_from_data(each["description"])
            described.append(events.call_from(events.call_data(each["id"], call, header.layout), header.layout, where))
        modules = [
            events.module_from([name, path, _number(base), size], where) for name, path, base, size in first["modules"]
        ]
        threads = [_count(thread) for thread in first["threads"]]
    except KeyError as error:
        raise lines.wrong(f"the first line lacks {error.args[0]}") from None
    except (TypeError, ValueError, Error) as error:
        raise lines.wrong(f"the first line is not that of a trace: {error}") from None
    writer = Writer(to, header, force=True)
    for number, call in described:
        writer.describe(number, call)
    for module in modules:
        writer.module(module)
    writer.threads(threads)
    return writer


def _events(line: Json) -> tuple[Enter, Leave | None]:
    """The events of a call's line; KeyError, TypeError and ValueError for what is wrong with it."""
    if "raw" not in line:
        raise ValueError('has no "raw" although lines before it have; take it from every line for the values to count')
    raw, entered = line["raw"], line["raw"]["enter"]
    regions = _regions(entered["regions"], ())
    enter = Enter(
        _count(entered["sequence"]),
        _count(raw["thread"]),
        _count(raw["id"]),
        _number(entered["time"]),
        _number(raw["caller"]),
        tuple(_number(argument) for argument in raw["arguments"]),
        regions,
        _count(line["index"]),
    )
    left = raw["leave"]
    if left is None:
        return enter, None
    times = _count(left["sequence"]), enter.sequence, _number(left["time"]), _number(left["result"])
    return enter, Leave(*times, _regions(left["regions"], regions))


def _regions(rows: Any, entered: tuple[Region, ...]) -> tuple[Region, ...]:
    found: list[Region] = []
    for row in rows:
        if type(row) is int and 0 <= row < len(entered):
            found.append(entered[row])
        else:
            address, wanted, data = row
            found.append((_number(address), _count(wanted), bytes.fromhex(data)))
    return tuple(found)


def _number(text: Any) -> int:
    """A number that is written as text."""
    if not isinstance(text, str) or len(text) > 24:
        raise ValueError(f"has {str(text)[:40]!r} where a number as text should be")
    number = int(text, 0)
    if not -1 << 63 <= number < 1 << 64:
        raise ValueError(f"has {text}, which does not fit into 64 bits")
    return number


def _count(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 1 << 62:
        raise ValueError(f"has {str(number)[:40]!r} where a number should be")
    return number


def _check(source: Path, to: Path, on_progress: Progress) -> None:
    """Whether the values of the lines are those of their raw events: who changed them meant something by it."""
    with source.open(encoding="utf-8") as file, Trace(to) as trace:
        lines = _Lines(source, file)
        said = (line for line in lines if "tracekmt" not in line)
        for call, line in zip(trace.calls(), said, strict=True):
            told = call.to_json()
            for name, value in told.items():
                if name in line and line[name] != value:
                    raise lines.wrong(
                        f'"{name}" is not what its "raw" says; take "raw" from every line for the values to count'
                    )
            on_progress(call.index, len(trace))


def _from_values(lines: _Lines, to: Path) -> int:
    header = events.header_from(lines.header["header"], f"{lines.path}: line 1") if "header" in lines.header else None
    calls = 0
    ended = {"how": "made by hand", "torn": None}
    with Builder(to, CALLS, force=True, header=header) as builder:
        for line in lines:
            if "tracekmt" in line:
                ended = line if line["tracekmt"] == "end" else ended
                continue
            if "raw" in line:
                raise lines.wrong('has "raw" although lines before it have none; take it from every line')
            _add(builder, lines, line)
            calls += 1
        builder.close(str(ended["how"]), ended["torn"])
    return calls


def _add(builder: Builder, lines: _Lines, line: Json) -> None:
    try:
        # A line that says nothing of returning is one that somebody wrote: it returned.
        status = line.get("status", 0) if line.get("returned", True) else None
        builder.add(
            line["call"],
            line.get("in"),
            line.get("out"),
            0 if status is None and line.get("returned", True) else status,
            result=line.get("result"),
            thread=line.get("thread", 0),
            enter_ns=_time(line.get("enter_ns")),
            leave_ns=_time(line.get("leave_ns")),
            index=line.get("index"),
        )
    except KeyError as error:
        raise lines.wrong(f"lacks {error.args[0]}") from None
    except (ValueError, TypeError, UsageError, TraceError) as error:
        raise lines.wrong(str(error)) from None


def _time(text: Any) -> int | None:
    if isinstance(text, float):  # which may be infinite
        raise ValueError(f"has {text} where a number as text should be")
    return None if text is None else int(text)
