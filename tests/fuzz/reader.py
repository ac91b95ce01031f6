"""Fuzzer of the trace reader: reads any bytes as a trace with every method. Any exception except TraceError is a bug.

python tests/fuzz/reader.py CORPUS
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

with atheris.instrument_imports(include=["tracekmt.trace", "tracekmt.codec", "tracekmt.spec"]):
    from tracekmt.errors import TraceError
    from tracekmt.trace.frames import preamble
    from tracekmt.trace.reader import Trace

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HEAD = struct.Struct("<IBBHI")
UNPACKED_LIMIT = 1 << 20


def checked(data: bytes) -> bytes:
    """Return the frames decompressed and with valid checksums. Mutations rarely pass a checksum or decompress."""
    frames, offset = bytearray(preamble()), 12
    while offset + HEAD.size <= len(data):
        length, kind, flags, zero, _ = HEAD.unpack_from(data, offset)
        payload = data[offset + HEAD.size : offset + HEAD.size + length]
        offset += HEAD.size + length
        if flags & 1:
            try:
                # A few mutated bytes can decompress to gigabytes. The reader refuses them, and so must this program.
                payload, flags = zstd.ZstdDecompressor().decompress(payload, UNPACKED_LIMIT), flags & ~1
            except zstd.ZstdError:
                pass
        head = HEAD.pack(len(payload), kind, flags, zero, 0)[:8]
        frames += head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload
    return bytes(frames)


def read(data: bytes, *, rebuild: bool) -> None:
    """Read a trace with every method of the reader."""
    try:
        with Trace(io.BytesIO(data), rebuild=rebuild) as trace:
            for call in trace.calls():
                call.to_json()
            list(trace.events())
            list(trace.losses())
            trace.tally()
            if len(trace):
                trace[-1].to_json()
    except TraceError:
        pass


def one_input(data: bytes) -> None:
    """Read one input of the fuzzer with valid checksums, and unchanged."""
    read(checked(data), rebuild=bool(data[:1] == b"r"))
    read(data, rebuild=False)


def main() -> None:
    """Fuzz a corpus. Its inputs are decompressed, so that mutations reach the contents of frames."""
    corpus = Path(sys.argv[-1])
    for path in list(corpus.iterdir()):
        path.with_suffix(".plain").write_bytes(checked(path.read_bytes()))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
