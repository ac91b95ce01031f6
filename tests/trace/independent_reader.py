"""Independent reader, written from docs/format.md alone: python independent_reader.py FILE prints one line per call."""

import array
import itertools
import json
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import msgpack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def frames(data: bytes) -> Iterator[tuple[int, Any]]:
    offset = 12
    while offset + 12 <= len(data) and data[offset + 8 : offset + 12] != data[:8][::-1][:4]:
        length, kind, flags, _, checksum = struct.unpack_from("<IBBHI", data, offset)
        payload = data[offset + 12 : offset + 12 + length]
        if len(payload) < length or zlib.crc32(payload, zlib.crc32(data[offset : offset + 8])) != checksum:
            return
        payload = zstd.decompress(payload) if flags & 1 else payload
        yield kind, msgpack.unpackb(payload, strict_map_key=False, unicode_errors="surrogatepass")
        offset += 12 + length


def column(data: bytes, type_code: Any, is_difference: int) -> list[int]:
    values: array.array[int] = array.array(type_code, data)
    return list(itertools.accumulate(values)) if is_difference else list(values)


def read(data: bytes) -> list[dict[str, Any]]:
    names: dict[int, str] = {}
    blobs: list[bytes] = []
    calls: dict[int, dict[str, Any]] = {}
    for kind, value in frames(data):
        if kind == 2:
            names[value["id"]] = value["description"]["name"]
        elif kind == 8:
            blobs += value[1]
        elif kind == 9:
            columns = zip(value[0], "BqqqIIQq", (0, 1, 1, 1, 0, 0, 0, 1), strict=True)
            rows = list(zip(*(column(*arguments) for arguments in columns), strict=True))
            ends = [row[7] for row in rows[1:]] + [len(value[1])]
            for (event_kind, call, _, _, thread, spec_id, result, start), end in zip(rows, ends, strict=True):
                if event_kind == 2:
                    continue
                body = msgpack.unpackb(value[1][start:end])
                if event_kind == 0:
                    regions = [[r[0], r[1], blobs[r[2]] if isinstance(r[2], int) else r[2]] for r in body[1]]
                    calls[call] = {
                        "call": names[spec_id],
                        "thread": thread,
                        "in": regions,
                        "out": None,
                        "result": None,
                    }
                else:
                    old = calls[call]["in"]
                    new = [
                        [*r[:2], blobs[r[2]] if isinstance(r[2], int) else r[2]] if isinstance(r, list) else old[r]
                        for r in body
                    ]
                    calls[call] |= {"out": new, "result": result}
    return [calls[index] for index in sorted(calls)]


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        for call in read(file.read()):
            print(json.dumps(call, default=bytes.hex))
