"""Traces in other forms, and back."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tracekmt.convert import jsonl
from tracekmt.convert.c import write_program
from tracekmt.edit.copy import open_copy, refuse_output, replacing, write_copy
from tracekmt.edit.redact import REDACTED, Redactor, redacted_end, redacted_header, redacted_module
from tracekmt.edit.trim import trim
from tracekmt.errors import UsageError
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
    calls: Callable[[int, str], bool] | None = None,
    redact: bool = False,
    force: bool = False,
    on_progress: Progress = lambda done, of: None,
) -> Converted:
    """Write a trace, or lines of JSON, as "kmt", "jsonl" or "c", a program that makes its calls; "-" is standard output
    for those that are text. calls: of a program, the calls that it makes, with those that they depend on. redact:
    without names, paths and private data. UsageError and TraceError say what cannot be done."""
    if calls is not None and form != "c":
        raise UsageError("a set of calls is for a reproducer (.c); tracekmt trim makes a trace of one")
    name, redacted = source.name, redact
    if str(to) != "-":
        refuse_output(source, to, force=force)
    with tempfile.TemporaryDirectory(prefix="tracekmt-") as folder:
        if _is_lines(source):
            if form == "jsonl" and not redact:
                raise UsageError(f"{source}: is lines of JSON already")
            target = to if form == "kmt" and not redact else Path(folder) / "read.kmt"
            count = jsonl.from_lines(source, target, force=force, on_progress=on_progress)
            if target == to:
                return Converted(count)
            source = target
        if redact and form != "kmt":
            _write_trace(source, Path(folder) / "redacted.kmt", redact=True)
            source, redact = Path(folder) / "redacted.kmt", False
        if form == "kmt":
            return _write_trace(source, to, redact=redact)
        if calls is not None:
            trim(source, calls, Path(folder) / "part.kmt")
            source = Path(folder) / "part.kmt"
        return _write_text(source, to, form, "a redacted trace" if redacted else name, on_progress)


def _write_trace(source: Path, to: Path, *, redact: bool) -> Converted:
    with Trace(source) as trace, replacing(to) as part:
        # What is redacted stays as it is: a hash of a hash would be equal to nothing.
        if not redact or trace.header.redacted == REDACTED:
            write_copy(trace, open_copy(trace, part), trace.events())
        else:
            header, modules = redacted_header(trace.header), [redacted_module(module) for module in trace.modules]
            header.settings.pop("spool", None)  # a path, which only recovering a recording needs
            redactor = Redactor(trace.abi, trace.descriptions, trace.description)
            writer = open_copy(trace, part, header, modules)
            write_copy(trace, writer, redactor.events(trace.events()), redacted_end)
        return Converted(len(trace), trace.warning)


def _write_text(source: Path, to: Path, form: str, name: str, on_progress: Progress) -> Converted:
    with Trace(source) as trace:
        made = write_program(trace, name, on_progress) if form == "c" else jsonl.to_lines(trace, on_progress)
        lines = (f"{line}\n" for line in made)
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
