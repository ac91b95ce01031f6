"""Outer structure of a trace file: magic, version, then frames.

A frame is a header of 12 bytes and a payload. The header is little endian:

- length of the payload (u32)
- kind (u8)
- flags (u8): bit 0 marks a payload that is compressed with zstd, bit 1 a live frame (see `LiveFrame`)
- two zero bytes
- CRC-32 of the first 8 bytes of the header and of the payload

A payload is one msgpack value. Readers skip frames of unknown kinds. Kinds are never reused.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgpack

from tracekmt.budgets import BUDGETS
from tracekmt.errors import TraceError
from tracekmt.trace.msgpack_objects import count_objects

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x89KMT\r\n\x1a\n"
END_MAGIC = MAGIC[::-1]
VERSION = 1
FRAME_LIMIT = 64 << 20
"""Maximum size of one decompressed payload in bytes. The reader treats a larger payload as damage."""

_VERSION = struct.Struct("<I")
_TAIL = struct.Struct("<Q")
_HEAD = struct.Struct("<IBBH")
_CRC = struct.Struct("<I")
_PADDING = struct.Struct(">BI")  # The head of a byte string in msgpack.
_COMPRESSED = 1
_LIVE = 2
# Level 3 takes a third longer, and makes recordings 1 to 4 % smaller (zstd 1.5). A new compressor for each frame takes
# 9 us longer than this one, which ends every frame.
_COMPRESSOR = zstd.ZstdCompressor(level=1)
_MIN_COMPRESSED_SIZE = 128
_WINDOW_LOG_LIMIT = 27
_OFFSET_LIMIT = (1 << 63) - 1
_ADVICE = " (--budgets raises the limit)"


class FrameKind(IntEnum):
    """Content of a frame. A number never changes its meaning. Format 0 has 4 to 6 for events."""

    HEADER = 1
    CALL = 2
    MODULE = 3
    ENTER = 4
    LEAVE = 5
    LOST = 6
    END = 7
    BLOBS = 8
    EVENTS = 9
    INDEX = 10
    SPOOL = 11
    PADDING = 12
    SPILL = 13


METADATA = (FrameKind.HEADER, FrameKind.CALL, FrameKind.MODULE, FrameKind.END)
"""Kinds of the frames whose content stays in memory while a trace is open."""


class LiveFrame(NamedTuple):
    """Position of a live frame's payload in the file.

    The payload is raw memory instead of msgpack. The recorder and the recorded process write to it.

    Attributes:
        start: Offset in the file.
        length: Size in bytes.
    """

    start: int
    length: int


def pack_live_head(start: int, length: int, align: int) -> bytes:
    """Return a padding frame and the header of a live frame.

    Args:
        start: Offset in the file at which the result is written.
        length: Size of the live payload in bytes.
        align: The live payload begins at a multiple of this offset.
    """
    heads = 2 * (_HEAD.size + _CRC.size)
    padding = -(start + heads + _PADDING.size) % align
    return _pack(FrameKind.PADDING, 0, _PADDING.pack(0xC6, padding) + bytes(padding)) + _pack(
        FrameKind.SPOOL, _LIVE, b"", length
    )


def _pack(kind: FrameKind, flags: int, payload: bytes, length: int | None = None) -> bytes:
    head = _HEAD.pack(len(payload) if length is None else length, kind, flags, 0)
    return head + _CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def pack_frame(kind: FrameKind, value: Any) -> bytes:
    """Return one frame, compressed if that makes it smaller.

    Raises:
        TraceError: The payload is larger than `FRAME_LIMIT`.
    """
    payload: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass")
    flags = 0
    if len(payload) >= _MIN_COMPRESSED_SIZE:
        compressed = _COMPRESSOR.compress(payload, zstd.ZstdCompressor.FLUSH_FRAME)
        if len(compressed) < len(payload):
            payload, flags = compressed, _COMPRESSED
    if len(payload) > FRAME_LIMIT:
        raise TraceError(f"cannot write a frame of {len(payload)} bytes (the limit is {FRAME_LIMIT})")
    return _pack(kind, flags, payload)


def preamble(version: int = VERSION) -> bytes:
    """Return the first bytes of a file."""
    return MAGIC + _VERSION.pack(version)


def tail(index_offset: int) -> bytes:
    """Return the last bytes of a sealed file: the offset of the index frame, and the end magic."""
    return _TAIL.pack(index_offset) + END_MAGIC


TAIL_SIZE = _TAIL.size + len(END_MAGIC)


class FrameReader:
    """Reader of the frames of one file, by offset.

    Every method raises TraceError with the offset of a frame that it cannot read.

    Attributes:
        path: Path of the file, for messages.
        version: Format version of the file.
        start: Offset of the first frame.
        damage: Offset and defect of the frame that ended `scan`. None if `scan` reached the end of the file.
    """

    damage: str | None = None

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        start = file.read(len(MAGIC) + _VERSION.size)
        if not start:
            raise TraceError(f"{path}: the file is empty")
        if start[: len(MAGIC)] != MAGIC:
            raise TraceError(f"{path}: not a tracekmt trace (its first bytes are {start[:8].hex(' ')})")
        if len(start) < len(MAGIC) + _VERSION.size:
            raise TraceError(f"{path}: truncated within the first {len(MAGIC) + _VERSION.size} bytes")
        self.version: int = _VERSION.unpack_from(start, len(MAGIC))[0]
        if self.version > VERSION:
            raise TraceError(
                f"{path}: trace format {self.version} is newer than this tracekmt (up to {VERSION}); update tracekmt"
            )
        self.start = len(start)
        self._unpacked = 0

    def scan(self) -> Iterator[tuple[int, int, Any]]:
        """Yield offset, kind and value of every complete frame.

        A truncated or damaged frame ends the iteration and sets `damage`.
        """
        offset = self.start
        while True:
            try:
                frame = self._read(offset)
            except TraceError as error:
                self.damage = str(error)
                return
            if frame is None:
                return
            kind, value, next_offset = frame
            yield offset, kind, value
            offset = next_offset

    def read_index(self) -> Any:
        """Return the value of the index frame of a sealed file. None without a readable index frame."""
        size = self._file.seek(0, 2)
        if size < self.start + TAIL_SIZE:
            return None
        self._file.seek(size - TAIL_SIZE)
        end = self._file.read(TAIL_SIZE)
        if end[_TAIL.size :] != END_MAGIC:
            return None
        try:
            frame = self._read(_TAIL.unpack_from(end)[0])
        except TraceError:
            return None
        return frame[1] if frame is not None and frame[0] == FrameKind.INDEX else None

    def read_frame(self, offset: int) -> tuple[int, Any]:
        """Return kind and value of the frame at an offset from `scan` or from the index."""
        frame = self._read(offset)
        if frame is None:
            raise TraceError(f"{self.path}: no frame at byte {offset}: the file has become shorter")
        return frame[:2]

    def read_bytes(self, start: int, size: int) -> bytes:
        """Return bytes of a live frame. There are fewer at the end of the file."""
        self._file.seek(start)
        return self._file.read(size)

    def _read(self, offset: int) -> tuple[int, Any, int] | None:
        """Return kind and value of a frame, and the offset of the next one. None at the end of the file."""
        if offset > _OFFSET_LIMIT:
            raise self._damaged(offset, "is out of range")
        self._file.seek(offset)
        head = self._file.read(_HEAD.size + _CRC.size)
        if not head:
            return None
        if head[_TAIL.size :] == END_MAGIC[: _HEAD.size + _CRC.size - _TAIL.size]:
            if len(head + self._file.read(TAIL_SIZE - len(head))) == TAIL_SIZE:
                return None
            raise self._damaged(offset, "is truncated")
        if len(head) < _HEAD.size + _CRC.size:
            raise self._damaged(offset, "is truncated")
        length, kind, flags, _ = _HEAD.unpack_from(head)
        if length > FRAME_LIMIT:
            raise self._damaged(offset, f"has an invalid length of {length} bytes")
        if flags & _LIVE:
            return self._live(offset, head, length, kind)
        payload = self._file.read(length)
        if len(payload) < length:
            raise self._damaged(offset, "is truncated")
        if zlib.crc32(payload, zlib.crc32(head[: _HEAD.size])) != _CRC.unpack_from(head, _HEAD.size)[0]:
            raise self._damaged(offset, "fails its checksum")
        if flags & _COMPRESSED:
            payload = self._decompress(offset, payload)
        self._check_budgets(offset, kind, payload)
        return kind, self._unpack(offset, payload), offset + len(head) + length

    def _check_budgets(self, offset: int, kind: int, payload: bytes) -> None:
        """Refuse a frame that would take too much memory, or too many bytes in sum."""
        self._unpacked += len(payload)
        if self._unpacked > BUDGETS.unpacked_bytes:
            limit = BUDGETS.unpacked_bytes + BUDGETS.unpacked_bytes_per_byte * self._file.seek(0, 2)
            if self._unpacked > limit:
                raise self._damaged(offset, f"exceeds the limit of {limit} unpacked bytes{_ADVICE}")
        if kind in METADATA and len(payload) > BUDGETS.metadata_bytes:
            raise self._damaged(offset, f"has more than {BUDGETS.metadata_bytes} bytes of metadata{_ADVICE}")
        if count_objects(payload, BUDGETS.frame_objects) > BUDGETS.frame_objects:
            raise self._damaged(offset, f"has more than {BUDGETS.frame_objects} objects{_ADVICE}")

    def _live(self, offset: int, head: bytes, length: int, kind: int) -> tuple[int, LiveFrame, int]:
        """Return kind and position of a live frame, and the offset of the next frame.

        The checksum covers only the head, because the payload changes.
        """
        if zlib.crc32(head[: _HEAD.size]) != _CRC.unpack_from(head, _HEAD.size)[0]:
            raise self._damaged(offset, "fails its checksum")
        end = offset + len(head) + length
        if self._file.seek(0, 2) < end:
            raise self._damaged(offset, "is truncated")
        return kind, LiveFrame(offset + len(head), length), end

    def _decompress(self, offset: int, payload: bytes) -> bytes:
        try:
            options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_LIMIT}
            decompressor = zstd.ZstdDecompressor(options=options)
            data: bytes = decompressor.decompress(payload, max_length=FRAME_LIMIT)
        except zstd.ZstdError as error:
            raise self._damaged(offset, f"does not decompress ({error})") from None
        if not decompressor.eof:
            raise self._damaged(offset, f"decompresses to more than {FRAME_LIMIT} bytes, or is truncated")
        return data

    def _unpack(self, offset: int, payload: bytes) -> Any:
        try:
            return msgpack.unpackb(payload, raw=False, strict_map_key=False, unicode_errors="surrogatepass")
        except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
            raise self._damaged(offset, f"is not msgpack ({type(error).__name__})") from None

    def _damaged(self, offset: int, defect: str) -> TraceError:
        return TraceError(f"{self.path}: the frame at byte {offset} {defect}")
