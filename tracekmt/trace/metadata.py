"""Metadata frames of a trace: its header, call descriptions and modules."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, BinaryIO, cast

from tracekmt.budgets import BUDGETS
from tracekmt.errors import TraceError
from tracekmt.spec.types import CallSpec
from tracekmt.trace import events
from tracekmt.trace.events import Header, Module
from tracekmt.trace.frames import FrameKind
from tracekmt.trace.writer import Writer


class Metadata:
    """Metadata of one trace, collected from its frames in file order.

    Attributes:
        specs: Call descriptions by the id that events use.
        modules: Modules that were mapped in the recorded process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.specs: dict[int, CallSpec] = {}
        self.modules: list[Module] = []
        self._header: Header | None = None
        self._description_objects = 0

    @property
    def header(self) -> Header:
        """Header of the trace.

        Raises:
            TraceError: No header frame has been added.
        """
        if self._header is None:
            raise TraceError(f"{self.path}: missing trace header")
        return self._header

    @property
    def has_header(self) -> bool:
        """True if the header frame has been added."""
        return self._header is not None

    def add(self, offset: int, kind: int, value: Any) -> Header | tuple[int, CallSpec] | Module | None:
        """Add a frame.

        Returns:
            The header, the description with its id, or the module of the frame. None for a frame of another kind.

        Raises:
            TraceError: The frame is malformed, or the first frame is not a header.
        """
        where = f"{self.path}: byte {offset}"
        if self._header is None:
            if kind != FrameKind.HEADER:
                raise TraceError(f"{self.path}: the trace does not begin with a header")
            self._header = events.header_from_data(value, where)
            return self._header
        if kind == FrameKind.CALL:
            self._description_objects += events.description_size(value)
            if self._description_objects > BUDGETS.description_objects:
                limit = f"{BUDGETS.description_objects} objects in descriptions"
                raise TraceError(f"{where}: more than {limit} (--budgets raises the limit)")
            spec_id, spec = events.spec_from_data(value, self._header.abi, where)
            self.specs[spec_id] = spec
            return spec_id, spec
        if kind == FrameKind.MODULE:
            if len(self.modules) >= BUDGETS.modules:
                raise TraceError(f"{where}: more than {BUDGETS.modules} modules (--budgets raises the limit)")
            self.modules.append(events.module_from_data(value, where))
            return self.modules[-1]
        return None


class TemporaryTrace:
    """Newest-format copy of a trace in an unnamed temporary file.

    Attributes:
        metadata: Metadata copied so far.
    """

    def __init__(self, path: Path) -> None:
        self.metadata = Metadata(path)
        self._path = path
        self._file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 (the reader of the copy closes it)
        self._writer: Writer | None = None

    @property
    def writer(self) -> Writer:
        """Writer of the copy.

        Raises:
            TraceError: No header has been copied.
        """
        if self._writer is None:
            raise TraceError(f"{self._path}: missing trace header")
        return self._writer

    def copy_metadata(self, offset: int, kind: int, value: Any) -> bool:
        """Copy a metadata frame. Return False for a frame of another kind."""
        match self.metadata.add(offset, kind, value):
            case Header() as header:
                self._writer = Writer(self._path, header, file=self._file)
            case Module() as module:
                self.writer.module(module)
            case (spec_id, spec):
                self.writer.describe(spec_id, spec)
            case None:
                return False
        return True

    def finish(self) -> BinaryIO:
        """Flush the copy and return its file, positioned at the start."""
        self.writer.flush()
        self._file.seek(0)
        return self._file
