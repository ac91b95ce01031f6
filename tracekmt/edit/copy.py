"""Copies of traces with a new index, with fewer calls, or with changed events."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracekmt.errors import UsageError
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer, refuse_existing

UNFINISHED = "the recording did not finish"
_NAME_LIMIT = 200
"""Characters of the beginning of a temporary name. File systems allow 255 bytes for the whole."""


@contextmanager
def replace_on_success(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to. It replaces `path` at the end of the block.

    The temporary file is new and in the folder of `path`, and only its user can read it. On an error it is deleted, and
    `path` is unchanged. A `path` that is not a regular file is yielded itself.

    Raises:
        UsageError: The file cannot be written.
    """
    if path.exists() and not path.is_file():
        with name_in_errors(path):
            yield path
        return
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-"[:_NAME_LIMIT], suffix=".part", dir=path.parent)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"invalid file name: {str(path)!r}") from None
    os.close(descriptor)
    part = Path(name)
    try:
        with name_in_errors(path):
            yield part
        _replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Name a file in errors of the system that name none, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or isinstance(error, BrokenPipeError):
            raise
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None


def _replace(part: Path, path: Path) -> None:
    """Rename a file. It replaces another one atomically, on Windows unless a program has that one open."""
    try:
        os.replace(part, path)
    except OSError as error:
        in_use = sys.platform == "win32" and isinstance(error, PermissionError)
        raise UsageError(f"cannot write {path}: {'a program has it open' if in_use else error.strerror}") from None


def refuse_output(source: Path, to: Path, *, force: bool) -> None:
    """Check an output file before long work.

    Raises:
        UsageError: The output is "-" or the source file, or it exists and `force` is false.
    """
    if str(to) == "-":
        raise UsageError("cannot write a trace to standard output (use -o FILE.kmt)")
    if to.exists() and source.exists() and to.samefile(source):
        raise UsageError(f"cannot write {to}: it is the input trace (use another name)")
    refuse_existing(to, force=force)


def open_copy(
    trace: Trace,
    to: Path,
    header: Header | None = None,
    modules: Iterable[Module] | None = None,
) -> Writer:
    """Create a trace with the header, descriptions, modules and threads of another one.

    Args:
        trace: Trace to copy from.
        to: Path of the created file. An existing file is overwritten.
        header: Header instead of the copied one.
        modules: Modules instead of the copied ones.

    Raises:
        UsageError: The file cannot be created.
    """
    writer = Writer(to, header or trace.header, force=True)
    for spec_id, spec in trace.specs.items():
        writer.describe(spec_id, spec)
    for module in trace.modules if modules is None else modules:
        writer.module(module)
    writer.threads(trace.threads)
    return writer


def write_copy(
    trace: Trace,
    writer: Writer,
    events: Iterable[Enter | Leave | Lost],
    rewrite_text: Callable[[str], str] = lambda text: text,
) -> None:
    """Write events and the end of a copied trace, and close it.

    Args:
        trace: Trace to copy the end from.
        writer: Writer of the copy.
        events: Events of the copy.
        rewrite_text: Rewrites the texts about the end and about damage.
    """
    try:
        for event in events:
            writer.events([event], flush=False)
        damage = None if trace.damage is None else rewrite_text(trace.damage)
        if trace.ended is None:
            writer.end(UNFINISHED, damage or UNFINISHED)
        else:
            writer.end(rewrite_text(trace.ended), damage)
    finally:
        writer.close()
