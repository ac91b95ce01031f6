"""Conversion of traces to JSON lines, C programs, Perfetto traces and Parquet, and of JSON lines to traces."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracekmt.convert import jsonl
from tracekmt.convert.c import write_program
from tracekmt.convert.perfetto import perfetto_packets
from tracekmt.edit.copy import open_copy, refuse_output, replace_on_success, write_copy
from tracekmt.edit.redact import REDACTED, Redactor, redacted_end, redacted_header, redacted_module
from tracekmt.edit.trim import trim
from tracekmt.errors import UsageError
from tracekmt.text.functions import check_allowed
from tracekmt.trace.reader import Trace

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ConvertResult:
    """Result of a conversion.

    Attributes:
        calls: Number of calls written.
        warning: Warning about the source trace, such as damage. None if the trace is sound.
    """

    calls: int
    warning: str | None = None


def convert(
    source: Path,
    to: Path,
    form: str,
    *,
    calls: Callable[[int, str], bool] | None = None,
    allow: Sequence[str] = (),
    redact: bool = False,
    force: bool = False,
    jobs: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ConvertResult:
    """Convert a trace or a file of JSON lines.

    Args:
        source: The trace or the JSON lines.
        to: The output file. "-" is standard output, for all forms but "kmt". For "parquet", a name without the ending
            .parquet is a folder.
        form: "kmt" for a trace, "jsonl" for JSON lines, "c" for a reproducer, "pftrace" for a Perfetto trace,
            "parquet" for tables.
        calls: Filter by call index and function name, for form "c" only. The dependencies of the selected calls are
            added.
        allow: Patterns of functions that a reproducer calls in spite of their side effects, for form "c" only.
        redact: Remove names, paths and private data.
        force: Overwrite an existing output file.
        jobs: Number of processes that make JSON lines, a Perfetto trace or a folder of tables. None: see
            `results_of_calls`.
        on_progress: Called with the number of calls done and their total.

    Raises:
        UsageError: The arguments contradict each other, the output exists, or the JSON lines are invalid.
        TraceError: The trace cannot be read.
    """
    if calls is not None and form != "c":
        raise UsageError("--calls requires a reproducer (.c) as output (use `tracekmt trim` for a trace)")
    if allow and form != "c":
        raise UsageError("--allow requires a reproducer (.c) as output")
    check_allowed(allow)
    display_name = "a redacted trace" if redact else source.name
    if form == "parquet":
        importlib.import_module("tracekmt.tables.arrow")  # a missing library is an error before all work
    if str(to) != "-":
        refuse_output(source, to, force=force)
    with tempfile.TemporaryDirectory(prefix="tracekmt-") as folder:
        if _is_jsonl(source):
            if form == "jsonl" and not redact:
                raise UsageError(f"cannot convert {source}: already in JSON lines")
            trace_path = to if form == "kmt" and not redact else Path(folder) / "read.kmt"
            count = jsonl.from_lines(source, trace_path, force=force, on_progress=on_progress)
            if trace_path == to:
                return ConvertResult(count)
            source = trace_path
        if redact and form != "kmt":
            _write_trace(source, Path(folder) / "redacted.kmt", redact=True)
            source, redact = Path(folder) / "redacted.kmt", False
        if form == "kmt":
            return _write_trace(source, to, redact=redact)
        if calls is not None:
            trim(source, calls, Path(folder) / "part.kmt")
            source = Path(folder) / "part.kmt"
        with Trace(source) as trace:
            if form == "pftrace":
                return _write_bytes(trace, to, perfetto_packets(trace, on_progress, jobs))
            if form == "parquet":
                return _write_parquet(trace, to, display_name, on_progress, jobs)
            if form == "c":
                return _write_text(trace, to, write_program(trace, display_name, on_progress, allow))
            return _write_text(trace, to, jsonl.to_lines(trace, on_progress, jobs))


def _write_trace(source: Path, to: Path, *, redact: bool) -> ConvertResult:
    with Trace(source) as trace, replace_on_success(to) as part:
        # A redacted trace is copied unchanged. A hash of a hash would not match the hash in other redacted traces.
        if not redact or trace.header.redacted == REDACTED:
            write_copy(trace, open_copy(trace, part), trace.events())
        else:
            header, modules = redacted_header(trace.header), [redacted_module(module) for module in trace.modules]
            for key in ("spool", "recorded_by"):  # only `tracekmt recover` needs them
                header.settings.pop(key, None)
            redactor = Redactor(trace.abi, trace.specs.values(), trace.spec)
            writer = open_copy(trace, part, header, modules)
            write_copy(trace, writer, redactor.events(trace.events()), redacted_end)
        return ConvertResult(len(trace), trace.warning)


def _write_text(trace: Trace, to: Path, text: Iterable[str]) -> ConvertResult:
    lines = (f"{line}\n" for line in text)
    if str(to) == "-":
        sys.stdout.writelines(lines)
    else:
        with replace_on_success(to) as part, part.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    return ConvertResult(len(trace), trace.warning)


def _write_bytes(trace: Trace, to: Path, parts: Iterable[bytes]) -> ConvertResult:
    if str(to) == "-":
        sys.stdout.buffer.writelines(parts)
        sys.stdout.buffer.flush()
    else:
        with replace_on_success(to) as part, part.open("wb") as file:
            file.writelines(parts)
    return ConvertResult(len(trace), trace.warning)


def _write_parquet(trace: Trace, to: Path, name: str, on_progress: Progress, jobs: int | None) -> ConvertResult:
    from tracekmt.tables.dataset import ENDING, replace_folder_on_success, write_calls, write_tables

    if str(to) == "-":
        write_calls(trace, sys.stdout.buffer, name, on_progress)
    elif to.suffix.lower() == ENDING:
        with replace_on_success(to) as part:
            write_calls(trace, part, name, on_progress)
    else:
        with replace_folder_on_success(to) as folder:
            write_tables(trace, folder, name, None, on_progress, jobs)
    return ConvertResult(len(trace), trace.warning)


def _is_jsonl(path: Path) -> bool:
    """Return True if the file has JSON lines, by its extension, otherwise by its first byte."""
    if path.suffix.lower() in (".kmt", ".jsonl"):
        return path.suffix.lower() == ".jsonl"
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
