"""Conversion between traces and JSON lines.

The first line has the header, the descriptions, the modules and the threads. Each call is a line in the form of
`dump --json`, with its recorded events under "raw". Lost events have a line at their position. The last line has the
end of the recording.

A conversion from "raw" restores the trace to the byte of every region. Lines without "raw" are encoded from their
values, like a trace made with `tracekmt.create`.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from tracekmt.calls import CALLS
from tracekmt.edit.copy import refuse_output, replace_on_success
from tracekmt.errors import Error, TraceError, UsageError
from tracekmt.spec import serial
from tracekmt.trace import events
from tracekmt.trace.builder import Builder
from tracekmt.trace.events import Enter, Leave, Lost, Region
from tracekmt.trace.parallel import results_of_calls
from tracekmt.trace.reader import Trace, TracedCall
from tracekmt.trace.writer import Writer

LINE_LIMIT = 256 << 20
"""Maximum length of a line in characters. One line has a whole call, with its memory as hex digits."""

_USE_VALUES = 'remove "raw" from every line to convert the values'

Json = dict[str, Any]
Progress = Callable[[int, int], None]


def to_lines(trace: Trace, on_progress: Progress = lambda done, total: None, jobs: int | None = None) -> Iterator[str]:
    """Yield a trace as JSON lines, without line ends.

    Args:
        trace: The trace.
        on_progress: Called with the number of calls done and their total.
        jobs: Number of processes, see `results_of_calls`. A trace with lost events is converted by one.

    Raises:
        UsageError: The header has values that JSON cannot represent.
    """
    header = trace.header.to_data()
    first = {
        "tracekmt": "trace",
        "header": header,
        "threads": list(trace.threads),
        "modules": [[module.name, module.path, f"0x{module.base:x}", module.size] for module in trace.modules],
        "descriptions": [{"id": number, "description": serial.to_data(call)} for number, call in trace.specs.items()],
    }
    try:
        is_lossless = json.loads(json.dumps(header)) == header
    except (TypeError, ValueError, RecursionError):
        is_lossless = False
    if not is_lossless:
        raise UsageError(f"cannot convert {trace.path}: its header has values that JSON cannot represent")
    yield json.dumps(first)
    jobs = 1 if trace.lost else jobs
    for done, line in enumerate(results_of_calls(trace, call_lines, jobs=jobs)):
        yield line
        on_progress(min(done, len(trace)), len(trace))  # lost events have lines too
    if trace.ended is not None or trace.damage:
        yield json.dumps({"tracekmt": "end", "how": trace.ended, "torn": trace.damage})


def call_lines(trace: Trace, first: int, last: int | None) -> Iterator[str]:
    """Yield the lines of the calls in a range, and those of lost events if it is the whole trace."""
    lost_events = list(trace.losses())
    for call in trace.calls(first, last):
        while lost_events and lost_events[0].sequence < call.enter.sequence:
            yield _lost_line(lost_events.pop(0))
        yield json.dumps({**call.to_json(), "raw": _raw(call)})
    for lost in lost_events:
        yield _lost_line(lost)


def _lost_line(lost: Lost) -> str:
    return json.dumps({"tracekmt": "lost", "sequence": lost.sequence, "count": lost.count})


def _raw(call: TracedCall) -> Json:
    """Return the events of a call. Numbers of more than 32 bits are strings, since many JSON readers lose digits."""
    enter, leave = call.enter, call.leave
    raw: Json = {
        "id": enter.spec_id,
        "thread": enter.thread,
        "caller": f"0x{enter.caller:x}",
        "arguments": [f"0x{argument:x}" for argument in enter.arguments],
        "enter": {"sequence": enter.sequence, "time": str(enter.time), "regions": _region_rows(enter.regions)},
        "leave": None,
    }
    if leave is not None:
        raw["leave"] = {
            "sequence": leave.sequence,
            "time": str(leave.time),
            "result": f"0x{leave.result:x}",
            "regions": _region_rows(leave.regions, enter.regions),
        }
    return raw


def _region_rows(regions: Iterable[Region], enter_regions: Iterable[Region] = ()) -> list[Any]:
    """Return rows of regions. The row of a region that the call did not change is its index in `enter_regions`."""
    enter_indexes = {region: index for index, region in enumerate(enter_regions)}
    return [
        enter_indexes[region] if region in enter_indexes else [f"0x{region[0]:x}", region[1], region[2].hex()]
        for region in regions
    ]


def from_lines(source: Path, to: Path, *, force: bool = False, on_progress: Progress = lambda done, total: None) -> int:
    """Convert JSON lines into a trace.

    Args:
        source: The JSON lines.
        to: The trace to write.
        force: Overwrite an existing trace.
        on_progress: Called with the number of calls done and their total.

    Returns:
        The number of calls in the trace.

    Raises:
        UsageError: A line is invalid, or `source` cannot be read. The message names the line.
    """
    refuse_output(source, to, force=force)
    try:
        with source.open(encoding="utf-8", errors="strict") as file:
            lines = _Lines(source, file)
            with replace_on_success(to) as part:
                call_count = _from_raw(lines, part) if lines.has_raw else _from_values(lines, part)
                if lines.has_raw:
                    _check_values(source, part, on_progress)
    except UnicodeDecodeError:
        raise UsageError(f"cannot read {source}: invalid UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror or error}") from None
    return call_count


class _Lines:
    """Iterator over the lines of a file, with the header line read in advance.

    Attributes:
        path: The file.
        number: Number of the line read last, from 1.
        header: The header line, empty if the file has none.
        has_raw: True if the calls have their recorded events. The first line after the header decides.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self.number = 0
        self.header: Json = {}
        self._file = file
        self._next_line: Json | None = self._read_line()
        if self._next_line is not None and self._next_line.get("tracekmt") == "trace":
            self.header, self._next_line = self._next_line, self._read_line()
        self.has_raw = self._next_line is None or "raw" in self._next_line or "tracekmt" in self._next_line

    def __iter__(self) -> Iterator[Json]:
        while self._next_line is not None:
            yield self._next_line
            self._next_line = self._read_line()

    def error(self, message: str, *, line: int | None = None) -> UsageError:
        """Return an error about a line, by default about the line read last."""
        return UsageError(f"{self.path}: line {line or self.number}: {message}")

    def _read_line(self) -> Json | None:
        while text := self._file.readline(LINE_LIMIT):
            self.number += 1
            if not text.strip():
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise self.error(f"invalid JSON: {str(error)[:60]}") from None
            if not isinstance(value, dict):
                raise self.error(f"invalid line: {text.strip()[:40]} (expected a JSON object)")
            return value
        return None


def _from_raw(lines: _Lines, to: Path) -> int:
    writer = _open_trace(lines, to)
    pending_leaves: list[tuple[int, int, Leave]] = []
    call_count = 0
    end: Json | None = None
    try:
        for line in lines:
            if end is not None:
                raise lines.error("unexpected line after the end line")
            try:
                event: Enter | Lost
                match line.get("tracekmt"):
                    case None:
                        event, leave = _events(line)
                        call_count += 1
                    case "lost":
                        event, leave = Lost(_count(line["sequence"]), _count(line["count"])), None
                    case "end":
                        end = line
                        continue
                    case line_type:
                        raise ValueError(f'invalid "tracekmt": {line_type!r} (expected "lost" or "end")')
                # Lines are in the order of the enter events. Leave events with a lower sequence number go first.
                while pending_leaves and pending_leaves[0][0] < event.sequence:
                    writer.events([heapq.heappop(pending_leaves)[2]], flush=False)
                writer.events([event], flush=False)
                if leave is not None:
                    heapq.heappush(pending_leaves, (leave.sequence, leave.enter, leave))
            except KeyError as error:
                raise lines.error(f"missing field: {error.args[0]}") from None
            except (ValueError, TypeError, TraceError) as error:
                raise lines.error(str(error)) from None
        while pending_leaves:
            writer.events([heapq.heappop(pending_leaves)[2]], flush=False)
        if end is not None and end.get("how") is not None:
            writer.end(str(end["how"]), None if end.get("torn") is None else str(end["torn"]))
    finally:
        writer.close()
    return call_count


def _open_trace(lines: _Lines, to: Path) -> Writer:
    """Open a trace with the metadata of the header line."""
    first = lines.header
    if not first:
        raise lines.error('missing trace header (expected {"tracekmt": "trace", ...})', line=1)
    try:
        where = f"{lines.path}: line 1"
        header = events.header_from_data(first["header"], where)
        specs = []
        for row in first["descriptions"]:
            spec = serial.spec_from_data(row["description"])
            specs.append(events.spec_from_data(events.spec_to_data(row["id"], spec, header.abi), header.abi, where))
        modules = [
            events.module_from_data([name, path, _number(base), size], where)
            for name, path, base, size in first["modules"]
        ]
        threads = [_count(thread) for thread in first["threads"]]
    except KeyError as error:
        raise lines.error(f"missing field: {error.args[0]}", line=1) from None
    except TraceError as error:  # The message begins with `where`.
        raise UsageError(str(error)) from None
    except (TypeError, ValueError, Error) as error:
        raise lines.error(f"invalid trace header: {error}", line=1) from None
    writer = Writer(to, header, force=True)
    for spec_id, spec in specs:
        writer.describe(spec_id, spec)
    for module in modules:
        writer.module(module)
    writer.threads(threads)
    return writer


def _events(line: Json) -> tuple[Enter, Leave | None]:
    """Return the events of a call.

    Raises:
        KeyError: A field is missing.
        TypeError: A value has the wrong type.
        ValueError: A value is invalid.
    """
    if "raw" not in line:
        raise ValueError(f'missing "raw", which earlier lines have ({_USE_VALUES})')
    raw, enter_data = line["raw"], line["raw"]["enter"]
    regions = _regions(enter_data["regions"], ())
    enter = Enter(
        _count(enter_data["sequence"]),
        _count(raw["thread"]),
        _count(raw["id"]),
        _number(enter_data["time"]),
        _number(raw["caller"]),
        tuple(_number(argument) for argument in raw["arguments"]),
        regions,
        _count(line["index"]),
    )
    leave_data = raw["leave"]
    if leave_data is None:
        return enter, None
    sequence, time, result = _count(leave_data["sequence"]), _number(leave_data["time"]), _number(leave_data["result"])
    return enter, Leave(sequence, enter.sequence, time, result, _regions(leave_data["regions"], regions))


def _regions(rows: Any, enter_regions: tuple[Region, ...]) -> tuple[Region, ...]:
    regions: list[Region] = []
    for row in rows:
        if type(row) is int and 0 <= row < len(enter_regions):
            regions.append(enter_regions[row])
        else:
            address, requested_size, data = row
            regions.append((_number(address), _count(requested_size), bytes.fromhex(data)))
    return tuple(regions)


def _number(text: Any) -> int:
    """Return the number in a string."""
    if not isinstance(text, str) or len(text) > 24:
        raise ValueError(f"invalid number: {_short(text)} (expected a string of digits)")
    number = int(text, 0)
    if not -1 << 63 <= number < 1 << 64:
        raise ValueError(f"invalid number: {text} (expected at most 64 bits)")
    return number


def _count(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 1 << 62:
        raise ValueError(f"invalid number: {_short(number)} (expected an integer from 0 to 2^62 - 1)")
    return number


def _short(value: Any) -> str:
    return str(value)[:40]


def _check_values(source: Path, to: Path, on_progress: Progress) -> None:
    """Check that the values of each line match its raw events. A mismatch means that a user edited the values."""
    with source.open(encoding="utf-8") as file, Trace(to) as trace:
        lines = _Lines(source, file)
        call_lines = (line for line in lines if "tracekmt" not in line)
        for call, line in zip(trace.calls(), call_lines, strict=True):
            for name, value in call.to_json().items():
                if name in line and line[name] != value:
                    raise lines.error(f'"{name}" does not match its "raw" ({_USE_VALUES})')
            on_progress(call.index, len(trace))


def _from_values(lines: _Lines, to: Path) -> int:
    header = (
        events.header_from_data(lines.header["header"], f"{lines.path}: line 1") if "header" in lines.header else None
    )
    call_count = 0
    end = {"how": "made by hand", "torn": None}
    with Builder(to, CALLS, force=True, header=header) as builder:
        for line in lines:
            if "tracekmt" in line:
                end = line if line["tracekmt"] == "end" else end
                continue
            if "raw" in line:
                raise lines.error(f'unexpected "raw", which earlier lines do not have ({_USE_VALUES})')
            _add(builder, lines, line)
            call_count += 1
        builder.close(str(end["how"]), end["torn"])
    return call_count


def _add(builder: Builder, lines: _Lines, line: Json) -> None:
    try:
        # A handwritten line may lack "returned" and "status". Such a call returned, with status 0.
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
        raise lines.error(f"missing field: {error.args[0]}") from None
    except (ValueError, TypeError, UsageError, TraceError) as error:
        raise lines.error(str(error)) from None


def _time(text: Any) -> int | None:
    if isinstance(text, float):  # int() raises OverflowError for an infinite value.
        raise ValueError(f"invalid time: {text} (expected a string of digits)")
    return None if text is None else int(text)
