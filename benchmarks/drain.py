"""Measure how fast the recorder turns raw events into a trace, on one core.

    python benchmarks/drain.py [CALLS...]

The events are those of a program that queries, submits, locks and destroys, in the form of hooks/recorder.c. A quarter
of the calls changes its memory. The time includes assembly, framing and compression. With TRACEKMT_PURE=1, Python does
what the core does otherwise.
"""

from __future__ import annotations

import queue
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from memory import peak_mib

from tracekmt.record.agent.hooks import Hooks
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.remote_buffer import RemoteBuffer
from tracekmt.record.limits import Progress, StopConditions
from tracekmt.record.live import LiveRecording
from tracekmt.record.sink import Sink
from tracekmt.spec.layout import lay_out
from tracekmt.trace.events import Header

SIZES = (10_000, 100_000, 1_000_000)
MESSAGE = 256 << 10
FUNCTIONS = ("QueryVideoMemoryInfo", "SubmitCommand", "GetDeviceState", "Lock2", "DestroyAllocation2")


def fragment(kind: int, sequence: int, content: bytes) -> bytes:
    """Return an event as one fragment."""
    return struct.pack("<IBBHQ", 16 + len(content), kind, 1, 0, sequence) + content


def region(address: int, data: bytes) -> bytes:
    """Return a copied region."""
    return struct.pack("<QIIII", address, len(data), len(data), 0, 0) + data + bytes(-len(data) % 8)


def stretches(hooks: Hooks, calls: int) -> Iterator[bytes]:
    """Yield the raw events of calls, in the messages of a remote buffer."""
    specs = {spec.name: (spec_id, spec) for spec_id, spec in hooks.specs.items()}
    functions = [specs[f"D3DKMT{name}"] for name in FUNCTIONS]
    sizes = {spec_id: lay_out(spec.argument, hooks.abi).size for spec_id, spec in functions}
    sequence, block = 0, bytearray()
    for call in range(calls):
        spec_id = functions[call % len(functions)][0]
        address, clock = 0x7FFF0000 + 4096 * (call % 3), 10_000 * call + call % 997
        before = struct.pack("<II", 0x40000040 + call % 50, call % 7).ljust(sizes[spec_id], b"\0")
        after = before if call % 4 else before[:-8] + struct.pack("<Q", call)
        head = struct.pack("<QQQQQQ", clock, spec_id, 0x7F0000001234, 4000 + call % 4, 1, address)
        block += fragment(1, sequence, head + region(address, before))
        block += fragment(2, sequence + 1, struct.pack("<QQQ", clock + 900, sequence, 0) + region(address, after))
        sequence += 2
        if len(block) > MESSAGE:
            yield struct.pack("<QQ", sequence, 0) + block
            block.clear()
    yield struct.pack("<QQ", sequence, 0) + block


def measure(calls: int, path: Path) -> tuple[float, float]:
    """Drain calls into a trace. Return the seconds and the size of the trace in bytes."""
    hooks = Hooks((), ["libdxcore.so"])
    hooks.configure(windows=True, is_32bit=False)
    messages = list(stretches(hooks, calls))
    waiting = iter(messages)
    buffer = RemoteBuffer(lambda: next(waiting, None), EventQueue())
    progress = Progress()
    sink = Sink(path, Header("x64"), hooks, progress, StopConditions(), redact=False, force=True)
    agent: Any = SimpleNamespace(messages=queue.Queue())
    attachment: Any = SimpleNamespace(agent=agent, buffer=buffer, hooks=hooks)
    live = LiveRecording(attachment, sink, {}, progress, None, None)
    started = time.perf_counter()
    while progress.calls < calls:
        live.drain()
    sink.end("done")
    seconds = time.perf_counter() - started
    assert progress.calls == calls
    return seconds, path.stat().st_size


def main(sizes: list[int]) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        for calls in sizes:
            seconds, size = measure(calls, Path(folder, "trace.kmt"))
            rate, size = f"{calls / seconds:,.0f}", round(size / calls)
            print(f"{calls:>10,} calls {rate:>10} calls/s {size:>4} bytes/call {peak_mib():>5} MiB")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(SIZES))
