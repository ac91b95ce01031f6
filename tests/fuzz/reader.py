"""The fuzzer's program: any bytes as a trace, read in every way there is. Anything but a TraceError is a finding.

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
    """The same frames with right checksums, and unpacked, since no mutation gets through either."""
    made, at = bytearray(preamble()), 12
    while at + HEAD.size <= len(data):
        length, kind, flags, zero, _ = HEAD.unpack_from(data, at)
        payload = data[at + HEAD.size : at + HEAD.size + length]
        at += HEAD.size + length
        if flags & 1:
            try:
                # A few mutated bytes may stand for gigabytes; the reader refuses them, this program has to as well.
                payload, flags = zstd.ZstdDecompressor().decompress(payload, UNPACKED_LIMIT), flags & ~1
            except zstd.ZstdError:
                pass
        head = HEAD.pack(len(payload), kind, flags, zero, 0)[:8]
        made += head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload
    return bytes(made)


def read(data: bytes, *, rebuild: bool) -> None:
    """Every way in."""
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
    """As the fuzzer calls it. What begins with a letter is taken as it is."""
    whole = checked(data)
    read(whole, rebuild=bool(data[:1] == b"r"))
    read(data, rebuild=False)


def main() -> None:
    """Uncompressed, so that mutations reach what is in the frames."""
    corpus = Path(sys.argv[-1])
    for path in list(corpus.iterdir()):
        path.with_suffix(".plain").write_bytes(checked(path.read_bytes()))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
