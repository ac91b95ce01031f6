"""Measure speed, memory and file size of writing and reading traces.

    python benchmarks/trace.py [CALLS]

One run uses one core and a seeded sequence of calls. Two thirds of the calls create and destroy allocations. Their
private data has 64 to 512 bytes. One in ten is new, and half of the bytes are zeros. For comparison the run also
measures the same calls as lines of JSON.
"""

from __future__ import annotations

import json
import random
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

from memory import peak_mib

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
"""Number of calls that are also converted to JSON."""


class Template:
    """Memory of an encoded call. Patches change it from call to call, because encoding would measure the codec."""

    def __init__(self, name: str, inputs: dict[str, object]) -> None:
        arena = Arena("x64")
        self.arguments = codec.encode(CALLS[name], "x64", arena, inputs)
        self.regions = arena.regions()

    def patched(self, changes: dict[tuple[int, int], bytes]) -> tuple[Region, ...]:
        """Return the regions with changed bytes. `changes` has new bytes by (number of the region, offset)."""
        regions = []
        for number, (address, requested, data) in enumerate(self.regions):
            changed = bytearray(data)
            for (region_number, offset), patch in changes.items():
                if region_number == number:
                    changed[offset : offset + len(patch)] = patch
            regions.append((address, requested, bytes(changed)))
        return tuple(regions)


def events(count: int) -> Iterator[Enter | Leave]:
    """Yield the events of `count` calls. They are the same for the same count."""
    rng = random.Random(1)
    sizes = [rng.randrange(64, 512) for _ in range(max(count // 30, 1))]
    contents = [rng.randbytes(size // 2) + bytes(size - size // 2) for size in sizes]
    creates = {
        size: Template(CREATE, {"hDevice": 0x40000040, "pAllocationInfo2": [{"pPrivateDriverData": bytes(size)}]})
        for size in set(sizes)
    }
    destroy = Template(DESTROY, {"hDevice": 0x40000040, "phAllocationList": [1]})
    query = Template(QUERY, {"hAdapter": 0x40000000})
    handle_offset = lay_out(CALLS[CREATE].argument.field("pAllocationInfo2").type.to, "x64").slot("hAllocation").offset  # type: ignore[union-attr]
    now = 0
    for index in range(count):
        now += rng.randrange(300, 3000)
        spec_id = index % len(NAMES)
        handle = (0x40000080 + (index - spec_id) // 3 * 64 & 0xFFFFFFFF).to_bytes(4, "little")
        template = (creates[len(content := rng.choice(contents))], destroy, query)[spec_id]
        if spec_id == 0:
            before = template.patched({(1, 0): content})
            after = template.patched({(1, 0): content, (2, handle_offset): handle})
        else:
            before = after = template.patched({(1, 0): handle}) if spec_id == 1 else tuple(template.regions)
        yield Enter(2 * index, 7 + index % 4, spec_id, now, 0x7F0000001234, template.arguments, before)
        yield Leave(2 * index + 1, 2 * index, now + rng.randrange(100, 300), 0, after)


def print_result(name: str, value: float, unit: str) -> None:
    """Print a line of the result."""
    print(f"{name:<34} {value:>12,.1f} {unit}", flush=True)


def write(path: Path, count: int) -> None:
    """Write and seal the trace."""
    writer = Writer(path, Header("x64"))
    for spec_id, name in enumerate(NAMES):
        writer.describe(spec_id, CALLS[name])
    start = time.perf_counter()
    # The time of the generator does not count. A recorder writes events that exist already.
    pending: deque[Enter | Leave] = deque()
    generated = events(count)
    spent = 0.0
    while True:
        pending.extend(islice(generated, 50_000))
        if not pending:
            break
        begin = time.perf_counter()
        writer.events(pending, flush=False)
        spent += time.perf_counter() - begin
        pending.clear()
    begin = time.perf_counter()
    writer.end("made by a benchmark")
    writer.close()
    spent += time.perf_counter() - begin
    print_result("write and seal", count / spent, "calls/s")
    print_result("  including event generation", count / (time.perf_counter() - start), "calls/s")
    print_result("size", path.stat().st_size / count, "bytes/call")


def read(path: Path) -> None:
    """Measure opening, random access, scanning and decoding."""
    begin = time.perf_counter()
    trace = tracekmt.open(path)
    print_result("open", 1000 * (time.perf_counter() - begin), "ms")
    begin = time.perf_counter()
    trace[len(trace) // 2].to_json()
    print_result("one call from the middle", 1000 * (time.perf_counter() - begin), "ms")
    begin = time.perf_counter()
    event_count = sum(1 for _ in trace.timeline())
    print_result("scan without decoding", event_count / (time.perf_counter() - begin), "events/s")
    begin = time.perf_counter()
    for call in trace.calls():
        _ = call.inputs, call.outputs
    print_result("decode every call", len(trace) / (time.perf_counter() - begin), "calls/s")
    print_result("peak memory", peak_mib(), "MiB")
    begin = time.perf_counter()
    compared = min(COMPARED, len(trace))
    lines = [trace[index].to_json() for index in range(compared)]
    print_result("decode to JSON values", compared / (time.perf_counter() - begin), "calls/s")
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    print_result("as JSON lines with zstd", len(zstd.compress(text, 3)) / compared, "bytes/call")
    print_result("as JSON values in plain msgpack", len(msgpack.packb(lines)) / compared, "bytes/call")
    trace.close()


def main() -> None:
    """Run the benchmark."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"{count:,} calls")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.kmt"
        write(path, count)
        read(path)


if __name__ == "__main__":
    main()
