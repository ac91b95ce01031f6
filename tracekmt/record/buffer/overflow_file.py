"""What a program writes faster than it is taken apart waits in a file beside the trace.

Raw stretches of the shared memory are moved there in the order in which they were found, so that the memory is free
again at once; they are as safe there as in the memory, and `recover` reads them too. The file is gone when it has been
worked off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path

from tracekmt.errors import RecordError, TraceError
from tracekmt.spec.types import CallSpec
from tracekmt.trace.events import Header, call_data
from tracekmt.trace.frames import FrameKind, FrameReader, pack_frame, preamble


def preface(header: Header, calls: Mapping[int, CallSpec]) -> bytes:
    """What a file begins with so that it can be read by itself: a trace's beginning, with every description."""
    told = preamble() + pack_frame(FrameKind.HEADER, header.to_data())
    for number, call in calls.items():
        told += pack_frame(FrameKind.CALL, call_data(number, call, header.layout))
    return told


class OverflowFile:
    """Parts of batches of stretches, first in first out. A batch is what one drain found: the `upto` of its last part
    is the sequence number below which nothing is missing once it and those before it are known. told: the preface."""

    def __init__(self, path: Path, told: bytes) -> None:
        self.path = path
        try:
            self._file = path.open("w+b")
        except OSError as error:
            raise RecordError(f"{path}: cannot be written: {error.strerror}") from None
        self._file.write(told)
        self._end = self._begin = self._file.tell()
        self._file.flush()
        self._file.seek(0)
        self._frames = FrameReader(path, self._file)
        self._waiting: deque[int] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._end - self._begin

    def put(self, upto: int | None, stretches: list[bytes]) -> None:
        """Append a part; it is in the system's hands when this returns. upto: None where more of the batch follows."""
        data = pack_frame(FrameKind.SPILL, [upto, stretches], level=1)
        self._file.seek(self._end)
        self._file.write(data)
        self._file.flush()
        self._waiting.append(self._end)
        self._end += len(data)

    def take(self) -> tuple[int | None, list[bytes]]:
        """The oldest part that was not taken yet."""
        kind, value = self._frames.at(self._waiting.popleft())
        match value:
            case [upto, [*stretches]] if kind == FrameKind.SPILL:
                return upto, stretches
        raise TraceError(f"{self.path}: holds what was not written there")

    def clear(self) -> None:
        """Forget everything, when all of it has been taken and written elsewhere."""
        self._file.truncate(self._begin)
        self._end = self._begin

    def close(self, *, keep: bool = False) -> None:
        """Close the file, and remove it unless it is to be kept."""
        self._file.close()
        if not keep:
            self.path.unlink(missing_ok=True)
