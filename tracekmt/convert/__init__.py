"""Traces in other forms, and back."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tracekmt.convert import jsonl
from tracekmt.errors import UsageError
from tracekmt.redact import REDACTED, Redactor, redacted_end, redacted_header, redacted_module
from tracekmt.trace.copy import open_copy, refuse_output, replacing, write_copy
from tracekmt.trace.reader import Trace

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Converted:
    """How many calls were written, and what to know of the trace that they came from."""

    calls: int
    warning: str | None = None


def convert(
    source: Path,
    to: Path,
    form: str,
    *,
    redact: bool = False,
    force: bool = False,
    on_progress: Progress = lambda done, of: None,
) -> Converted:
    """Write a trace, or lines of JSON, as "kmt" or "jsonl"; "-" is standard output for those that are text. redact:
    without names, paths and private data. UsageError and TraceError say what cannot be done."""
    if str(to) != "-":
        refuse_output(source, to, force=force)
    with tempfile.TemporaryDirectory(prefix="tracekmt-") as folder:
        if _is_lines(source):
            if form != "kmt" and not redact:
                raise UsageError(f"{source}: is lines of JSON already")
            target = to if form == "kmt" and not redact else Path(folder) / "read.kmt"
            calls = jsonl.from_lines(source, target, force=force, on_progress=on_progress)
            if target == to:
                return Converted(calls)
            source = target
        if redact and form != "kmt":
            _write_trace(source, Path(folder) / "redacted.kmt", redact=True)
            source, redact = Path(folder) / "redacted.kmt", False
        if form == "kmt":
            return _write_trace(source, to, redact=redact)
        return _write_lines(source, to, on_progress)


def _write_trace(source: Path, to: Path, *, redact: bool) -> Converted:
    with Trace(source) as trace, replacing(to) as part:
        # What is redacted stays as it is: a hash of a hash would be equal to nothing.
        if not redact or trace.header.redacted == REDACTED:
            write_copy(trace, open_copy(trace, part), trace.events())
        else:
            header, modules = redacted_header(trace.header), [redacted_module(module) for module in trace.modules]
            header.settings.pop("spool", None)  # a path, which only recovering a recording needs
            redactor = Redactor(trace.layout, trace.descriptions, trace.description)
            writer = open_copy(trace, part, header, modules)
            write_copy(trace, writer, redactor.events(trace.events()), redacted_end)
        return Converted(len(trace), trace.warning)


def _write_lines(source: Path, to: Path, on_progress: Progress) -> Converted:
    with Trace(source) as trace:
        lines = (f"{line}\n" for line in jsonl.to_lines(trace, on_progress))
        if str(to) == "-":
            sys.stdout.writelines(lines)
        else:
            with replacing(to) as part, part.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(lines)
        return Converted(len(trace), trace.warning)


def _is_lines(path: Path) -> bool:
    """Whether a file is lines of JSON: by its ending, else by its first byte."""
    if path.suffix.lower() in (".kmt", ".jsonl"):
        return path.suffix.lower() == ".jsonl"
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or 'cannot be read'}") from None
