"""The outermost grammar of a trace file: magic, version, then frames.

A frame is a header of 12 bytes and a payload. Header, little endian: length of the payload (u32), kind (u8), flags
(u8, bit 0: the payload is compressed with zstd), two zero bytes, and the CRC-32 of the bytes of the header before it
and of the payload. A payload is one msgpack value. Unknown kinds are skipped; ids are never reused.
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

from tracekmt.errors import TraceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x89KMT\r\n\x1a\n"
END_MAGIC = MAGIC[::-1]
VERSION = 1
FRAME_LIMIT = 64 << 20
"""Bytes of one payload, unpacked; more is taken for damage."""

_VERSION = struct.Struct("<I")
_TAIL = struct.Struct("<Q")
_HEAD = struct.Struct("<IBBH")
_CRC = struct.Struct("<I")
_PADDING = struct.Struct(">BI")  # msgpack's head of a byte string
_COMPRESSED = 1
_LIVE = 2
_WORTH_COMPRESSING = 128
_WINDOW_LOG_LIMIT = 27
_OFFSET_LIMIT = (1 << 63) - 1


class FrameKind(IntEnum):
    """What a frame holds. A number means for ever what it meant first; 4 to 6 are those of format 0."""

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


class Room(NamedTuple):
    """A live frame's bytes in the file: memory that is, or was, written to by others, and is no msgpack."""

    start: int
    length: int


def pack_live(start: int, length: int, align: int) -> bytes:
    """What stands before the bytes of a live frame, for it to begin at a multiple of `align` in the file; `start` is
    where it is put."""
    heads = 2 * (_HEAD.size + _CRC.size)
    padding = -(start + heads + _PADDING.size) % align
    return _framed(FrameKind.PADDING, 0, _PADDING.pack(0xC6, padding) + bytes(padding)) + _framed(
        FrameKind.SPOOL, _LIVE, b"", length
    )


def _framed(kind: FrameKind, flags: int, payload: bytes, length: int | None = None) -> bytes:
    head = _HEAD.pack(len(payload) if length is None else length, kind, flags, 0)
    return head + _CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def pack_frame(kind: FrameKind, value: Any, level: int = 3) -> bytes:
    """One frame, compressed where that makes it smaller."""
    payload: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass")
    flags = 0
    if len(payload) >= _WORTH_COMPRESSING:
        packed = zstd.compress(payload, level)
        if len(packed) < len(payload):
            payload, flags = packed, _COMPRESSED
    if len(payload) > FRAME_LIMIT:
        raise TraceError(f"an event of {len(payload)} bytes is larger than a frame may be ({FRAME_LIMIT})")
    return _framed(kind, flags, payload)


def preamble(version: int = VERSION) -> bytes:
    """What a file begins with."""
    return MAGIC + _VERSION.pack(version)


def tail(index: int) -> bytes:
    """What a sealed file ends with: where its index is."""
    return _TAIL.pack(index) + END_MAGIC


TAIL_SIZE = _TAIL.size + len(END_MAGIC)


class FrameReader:
    """The frames of one file, by offset. Every method raises TraceError for what it cannot read, and says where."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        start = file.read(len(MAGIC) + _VERSION.size)
        if not start:
            raise TraceError(f"{path}: the file is empty")
        if start[: len(MAGIC)] != MAGIC:
            raise TraceError(f"{path}: not a tracekmt trace (its first bytes are {start[:8].hex(' ')})")
        if len(start) < len(MAGIC) + _VERSION.size:
            raise TraceError(f"{path}: cut off inside its first {len(MAGIC) + _VERSION.size} bytes")
        self.version: int = _VERSION.unpack_from(start, len(MAGIC))[0]
        if self.version > VERSION:
            raise TraceError(
                f"{path}: written in trace format {self.version}, this tracekmt reads up to {VERSION}; update tracekmt"
            )
        self.start = len(start)

    def scan(self) -> Iterator[tuple[int, int, Any]]:
        """Every frame that is whole, as (offset, kind, value). A torn or damaged frame ends the scan; `torn` then
        says where and why."""
        offset = self.start
        while True:
            try:
                found = self._read(offset)
            except TraceError as error:
                self.torn = str(error)
                return
            if found is None:
                return
            kind, value, following = found
            yield offset, kind, value
            offset = following

    def index(self) -> Any:
        """The value of the index frame of a sealed file; None where there is no sound one."""
        size = self._file.seek(0, 2)
        if size < self.start + TAIL_SIZE:
            return None
        self._file.seek(size - TAIL_SIZE)
        end = self._file.read(TAIL_SIZE)
        if end[_TAIL.size :] != END_MAGIC:
            return None
        try:
            found = self._read(_TAIL.unpack_from(end)[0])
        except TraceError:
            return None
        return found[1] if found is not None and found[0] == FrameKind.INDEX else None

    torn: str | None = None

    def at(self, offset: int) -> tuple[int, Any]:
        """Kind and value of the frame at an offset that `scan` or the index gave."""
        found = self._read(offset)
        if found is None:
            raise TraceError(f"{self.path}: no frame at byte {offset}: the file has become shorter")
        return found[:2]

    def _read(self, offset: int) -> tuple[int, Any, int] | None:
        """Kind, value and the offset behind one frame; None at the end of the file."""
        if offset > _OFFSET_LIMIT:
            raise self._damage(offset, "lies outside of any file")
        self._file.seek(offset)
        head = self._file.read(_HEAD.size + _CRC.size)
        if not head:
            return None
        if head[_TAIL.size :] == END_MAGIC[: _HEAD.size + _CRC.size - _TAIL.size]:
            if len(head + self._file.read(TAIL_SIZE - len(head))) == TAIL_SIZE:
                return None
            raise self._damage(offset, "is cut off")
        if len(head) < _HEAD.size + _CRC.size:
            raise self._damage(offset, "is cut off")
        length, kind, flags, _ = _HEAD.unpack_from(head)
        if length > FRAME_LIMIT:
            raise self._damage(offset, f"claims {length} bytes")
        if flags & _LIVE:
            return self._live(offset, head, length, kind)
        payload = self._file.read(length)
        if len(payload) < length:
            raise self._damage(offset, "is cut off")
        if zlib.crc32(payload, zlib.crc32(head[: _HEAD.size])) != _CRC.unpack_from(head, _HEAD.size)[0]:
            raise self._damage(offset, "fails its checksum")
        if flags & _COMPRESSED:
            payload = self._decompress(offset, payload)
        return kind, self._unpack(offset, payload), offset + len(head) + length

    def _live(self, offset: int, head: bytes, length: int, kind: int) -> tuple[int, Room, int]:
        """A frame that is written to while it is there: its checksum is that of its head."""
        if zlib.crc32(head[: _HEAD.size]) != _CRC.unpack_from(head, _HEAD.size)[0]:
            raise self._damage(offset, "fails its checksum")
        end = offset + len(head) + length
        if self._file.seek(0, 2) < end:
            raise self._damage(offset, "is cut off")
        return kind, Room(offset + len(head), length), end

    def bytes_at(self, start: int, size: int) -> bytes:
        """Bytes of a live frame, fewer at the end of the file."""
        self._file.seek(start)
        return self._file.read(size)

    def _decompress(self, offset: int, payload: bytes) -> bytes:
        try:
            options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_LIMIT}
            decompressor = zstd.ZstdDecompressor(options=options)
            data: bytes = decompressor.decompress(payload, max_length=FRAME_LIMIT)
        except zstd.ZstdError as error:
            raise self._damage(offset, f"does not decompress ({error})") from None
        if not decompressor.eof:
            raise self._damage(offset, f"decompresses to more than {FRAME_LIMIT} bytes, or is cut off")
        return data

    def _unpack(self, offset: int, payload: bytes) -> Any:
        try:
            return msgpack.unpackb(payload, raw=False, strict_map_key=False, unicode_errors="surrogatepass")
        except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
            raise self._damage(offset, f"is not msgpack ({type(error).__name__})") from None

    def _damage(self, offset: int, what: str) -> TraceError:
        return TraceError(f"{self.path}: the frame at byte {offset} {what}")
