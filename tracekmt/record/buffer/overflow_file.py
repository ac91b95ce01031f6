"""File beside the trace for event data that the target writes faster than it is parsed.

Raw stretches of the shared buffer are moved to the file in the order in which they were found. The buffer then has free
space again at once. The data is as safe in the file as in the buffer, and `tracekmt recover` reads both. The file is
removed when all of it has been parsed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path

from tracekmt.errors import RecordError, TraceError
from tracekmt.private_file import create_private
from tracekmt.spec.types import CallSpec
from tracekmt.trace.events import Header, spec_to_data
from tracekmt.trace.frames import FrameKind, FrameReader, pack_frame, preamble


def preface(header: Header, specs: Mapping[int, CallSpec]) -> bytes:
    """Return the start of a buffer file: the start of a trace with every description, so that it is readable alone."""
    data = preamble() + pack_frame(FrameKind.HEADER, header.to_data())
    for spec_id, spec in specs.items():
        data += pack_frame(FrameKind.CALL, spec_to_data(spec_id, spec, header.abi))
    return data


class OverflowFile:
    """FIFO of parts in a file.

    A batch is the data of one drain, in one part or several. The last part of a batch has its `upto`. This is the
    sequence number below which no event is missing once this batch and the earlier ones are parsed.
    """

    def __init__(self, path: Path, file_preface: bytes) -> None:
        """Create the file.

        Args:
            path: Path of the file.
            file_preface: Start of the file, from `preface`.

        Raises:
            RecordError: The file cannot be created.
        """
        self.path = path
        try:
            self._file = create_private(path, force=True)
        except OSError as error:
            raise RecordError(f"cannot write {path}: {error.strerror}") from None
        self._file.write(file_preface)
        self._end = self._begin = self._file.tell()
        self._file.flush()
        self._file.seek(0)
        self._frames = FrameReader(path, self._file)
        self._waiting: deque[int] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def size(self) -> int:
        """Bytes in the file after the preface."""
        return self._end - self._begin

    def put(self, upto: int | None, stretches: list[bytes]) -> None:
        """Append a part and flush it to the system.

        Args:
            upto: See the class. None: more parts of the batch follow.
            stretches: Raw data.
        """
        data = pack_frame(FrameKind.SPILL, [upto, stretches])
        self._file.seek(self._end)
        self._file.write(data)
        self._file.flush()
        self._waiting.append(self._end)
        self._end += len(data)

    def take(self) -> tuple[int | None, list[bytes]]:
        """Remove the oldest part and return its `upto` and its data."""
        kind, value = self._frames.read_frame(self._waiting.popleft())
        match value:
            case [upto, [*stretches]] if kind == FrameKind.SPILL:
                return upto, stretches
        raise TraceError(f"cannot read {self.path}: another program has changed it")

    def clear(self) -> None:
        """Truncate the file, after all of its events were written to the trace."""
        self._file.truncate(self._begin)
        self._end = self._begin

    def close(self, *, keep: bool = False) -> None:
        """Close the file and remove it, unless it is kept for `tracekmt recover`."""
        self._file.close()
        if not keep:
            self.path.unlink(missing_ok=True)
