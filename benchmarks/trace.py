"""How fast traces are written and read, how large they are, and how much memory that takes.

    python benchmarks/trace.py [CALLS]

One run on one core: a seeded sequence of calls, two thirds of them creating and destroying allocations, with private
data of 64 to 512 bytes of which one in ten is new and half is zeros; beside it the same calls as lines of JSON.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgpack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

import tracekmt
from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena
from tracekmt.spec.layout import lay_out
from tracekmt.trace.events import Enter, Header, Leave, Region
from tracekmt.trace.writer import Writer

CREATE, DESTROY, QUERY = "D3DKMTCreateAllocation2", "D3DKMTDestroyAllocation2", "D3DKMTQueryVideoMemoryInfo"
NAMES = (CREATE, DESTROY, QUERY)
COMPARED = 20_000
"""How many calls are written in the other forms."""


class Template:
    """A call laid out once; what differs from call to call is patched in. Encoding each would measure the codec."""

    def __init__(self, name: str, inputs: dict[str, object]) -> None:
        arena = Arena("x64")
        self.arguments = codec.encode(CALLS[name], "x64", arena, inputs)
        self.regions = arena.regions()

    def patched(self, changes: dict[tuple[int, int], bytes]) -> tuple[Region, ...]:
        """The regions, with bytes at (region, offset) replaced."""
        found = []
        for number, (address, wanted, data) in enumerate(self.regions):
            changed = bytearray(data)
            for (region, offset), patch in changes.items():
                if region == number:
                    changed[offset : offset + len(patch)] = patch
            found.append((address, wanted, bytes(changed)))
        return tuple(found)


def events(count: int) -> Iterator[Enter | Leave]:
    """The events of `count` calls, the same for the same count."""
    chance = random.Random(1)
    sizes = [chance.randrange(64, 512) for _ in range(max(count // 30, 1))]
    contents = [chance.randbytes(size // 2) + bytes(size - size // 2) for size in sizes]
    creates = {
        size: Template(CREATE, {"hDevice": 0x40000040, "pAllocationInfo2": [{"pPrivateDriverData": bytes(size)}]})
        for size in set(sizes)
    }
    destroy = Template(DESTROY, {"hDevice": 0x40000040, "phAllocationList": [1]})
    query = Template(QUERY, {"hAdapter": 0x40000000})
    handle_at = lay_out(CALLS[CREATE].argument.field("pAllocationInfo2").type.to, "x64").slot("hAllocation").offset  # type: ignore[union-attr]
    now = 0
    for index in range(count):
        now += chance.randrange(300, 3000)
        number = index % len(NAMES)
        handle = (0x40000080 + (index - number) // 3 * 64 & 0xFFFFFFFF).to_bytes(4, "little")
        template = (creates[len(content := chance.choice(contents))], destroy, query)[number]
        if number == 0:
            before = template.patched({(2, 0): content})
            after = template.patched({(2, 0): content, (1, handle_at): handle})
        else:
            before = after = template.patched({(1, 0): handle}) if number == 1 else tuple(template.regions)
        yield Enter(2 * index, 7 + index % 4, number, now, 0x7F0000001234, template.arguments, before)
        yield Leave(2 * index + 1, 2 * index, now + chance.randrange(100, 300), 0, after)


def told(what: str, number: float, unit: str) -> None:
    """A line of the result."""
    print(f"{what:<34} {number:>12,.1f} {unit}", flush=True)


def write(path: Path, count: int) -> None:
    """Write and seal the trace."""
    writer = Writer(path, Header("x64"))
    for number, name in enumerate(NAMES):
        writer.describe(number, CALLS[name])
    start = time.perf_counter()
    # What the generator takes is taken off: a recorder hands events over that are there already.
    waiting: deque[Enter | Leave] = deque()
    made = events(count)
    spent = 0.0
    while True:
        waiting.extend(islice(made, 50_000))
        if not waiting:
            break
        begin = time.perf_counter()
        writer.events(waiting, flush=False)
        spent += time.perf_counter() - begin
        waiting.clear()
    begin = time.perf_counter()
    writer.end("made by a benchmark")
    writer.close()
    spent += time.perf_counter() - begin
    told("write and seal", count / spent, "calls/s")
    told("  with making the events", count / (time.perf_counter() - start), "calls/s")
    told("size", path.stat().st_size / count, "bytes/call")


def read(path: Path) -> None:
    """Open, take a call from the middle, scan, decode."""
    begin = time.perf_counter()
    trace = tracekmt.open(path)
    told("open", 1000 * (time.perf_counter() - begin), "ms")
    begin = time.perf_counter()
    trace[len(trace) // 2].to_json()
    told("one call from the middle", 1000 * (time.perf_counter() - begin), "ms")
    begin = time.perf_counter()
    scanned = sum(1 for _ in trace.timeline())
    told("scan without decoding", scanned / (time.perf_counter() - begin), "events/s")
    begin = time.perf_counter()
    for call in trace.calls():
        _ = call.inputs, call.outputs
    told("decode every call", len(trace) / (time.perf_counter() - begin), "calls/s")
    told("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB")
    begin = time.perf_counter()
    first = min(COMPARED, len(trace))
    lines = [trace[index].to_json() for index in range(first)]
    told("decode to JSON's form", first / (time.perf_counter() - begin), "calls/s")
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    told("as JSON lines with zstd", len(zstd.compress(text, 3)) / first, "bytes/call")
    told("as JSON's form in plain msgpack", len(msgpack.packb(lines)) / first, "bytes/call")


def main() -> None:
    """The whole run."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"{count:,} calls")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.kmt"
        write(path, count)
        read(path)


if __name__ == "__main__":
    main()
