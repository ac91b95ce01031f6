"""Give the core what a hostile program or trace may have, for some seconds. A memory error ends this process.

python -m tests.core.hostile_events LIBRARY SECONDS
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import random
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from typing import Any

from tracekmt import core as installed
from tracekmt.calls import CALLS
from tracekmt.codec.bound_values import BoundLocation
from tracekmt.codec.programs import program_of
from tracekmt.differ.history import Names
from tracekmt.differ.read_history import _Reader
from tracekmt.errors import Error
from tracekmt.record.buffer.bus_errors import address_of
from tracekmt.resources import resource
from tracekmt.spec.layout import Layout, lay_out
from tracekmt.spec.types import ABIS
from tracekmt.trace.event_frame import EventFrame
from tracekmt.trace.events import Lost
from tracekmt.trace.reader import Trace

WORDS = (0, 1, 5, 16, 0x1000, 1 << 33, 1 << 62, (1 << 64) - 1)
SIZES = (0, 0, 1, 8, 64, 96, 100, 192, 200, 1024, 5000)


def load(path: str) -> Any:
    """Load a core that was built elsewhere."""
    loader = importlib.machinery.ExtensionFileLoader("_core", path)
    spec = importlib.util.spec_from_loader("_core", loader)
    assert spec is not None
    return importlib.util.module_from_spec(spec)


def region(chance: random.Random) -> bytes:
    size = chance.choice(SIZES)
    data = chance.randbytes(size) if chance.random() < 0.5 else bytes(size)
    copied = chance.choice([size] * 9 + [size + 100, 0xFFFFFFFF])
    head = struct.pack("<QIIII", chance.choice((0, 0x1000, 0x2000)), size, copied, chance.choice((0, 0, 0, 1)), 0)
    return head + data + bytes(-size % 8)


def content(chance: random.Random, kind: int) -> bytes:
    if kind == 1:
        spec_id, thread, count = chance.choice((3, 3, 3, 1 << 33)), chance.choice((9, 9, 10)), chance.choice(WORDS)
        written = struct.pack("<QQQQQ", 5, spec_id, 7, thread, chance.choice((1, 1, 1, count)))
        written += struct.pack("<Q", 0x1000) * chance.choice((0, 1, 1, 2))
    else:
        written = struct.pack("<QQQ", 5, chance.randrange(40), chance.choice((0, 0, 0xC0000001)))
    written += b"".join(region(chance) for _ in range(chance.randrange(6)))
    if chance.random() < 0.15:
        written = written[: chance.randrange(len(written) + 1)]
    changed = bytearray(written)
    for _ in range(chance.choice((0, 0, 0, 1, 3)) if changed else 0):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def attack(core: Any, chance: random.Random) -> int:
    """Frame and split some events. Return the number of framed ones."""
    kinds = [chance.choice((1, 1, 2, 2, 3)) for _ in range(40)]
    events: list[Any] = [(sequence, kind, content(chance, kind)) for sequence, kind in enumerate(kinds)]
    batch = core.RawEvents()
    for event in events:
        batch.append(event if chance.random() < 0.95 else Lost(event[0], 1))
    place = struct.pack("<5I", chance.randrange(200), chance.choice((4, 8)), chance.choice((0, 1, 96)), 88, 8)
    plain = {3: chance.choice((b"", place))}
    marks = bytearray(4 * chance.choice((1, 3, 1024)))
    state: tuple[Any, ...] = ({}, {9: 0, 10: 1}, marks, {}, {}, [], lambda data: data[:16])
    position = call = blobs = size = framed = 0
    while position < len(events):
        start, rows = position, chance.choice((4096, 3))
        position, call, blobs, size, _, _ = core.frame_events(
            *(batch, position, plain, *state, call, blobs, size, 0, rows, 1 << 20, 1 << 20, 64, 1024, 64)
        )
        framed += position - start
        position += 1
    attack_order(core, chance, events)
    attack_blocks(core, chance)
    core.differences(chance.randbytes(chance.randrange(80)))
    with suppress(OverflowError):
        core.sums(chance.randbytes(chance.randrange(80)))
    return framed


def attack_order(core: Any, chance: random.Random, events: list[Any]) -> None:
    """Split fragments of events in any order, and take them in an order that no recorder asks for."""
    ready, batch = core.ReadyEvents(Lost), core.RawEvents()
    for _ in range(chance.randrange(4)):
        data = bytearray()
        for sequence, kind, event in chance.sample(events, chance.randrange(len(events))):
            number, first = chance.choice((sequence, sequence, 3, 1 << 61)), chance.choice((0, 0, 0, 1))
            data += struct.pack("<IBBHQ", 16 + len(event), kind, chance.randrange(2), first, number) + event
        for _ in range(chance.choice((0, 0, 3)) if data else 0):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with suppress(ValueError):
            ready.add_fragments(bytes(data[: chance.randrange(len(data) + 1)]), chance.randrange(5), 1 << 62)
        ready.add(chance.choice(events))
        first, end = chance.choice((0, 1, max(ready.last(), 0), 1 << 63)), chance.choice((0, 20, 1 << 62, 1 << 63))
        ready.take(batch, first, end, chance.choice((-1, 0, 1, 9, 50)))
        if chance.random() < 0.3:
            list(batch)


def attack_blocks(core: Any, chance: random.Random) -> None:
    """Find and release blocks that a program has damaged."""
    count, size = chance.choice((0, 1, 5)), 256
    memory = bytearray(64 + count * size)
    blocks = core.Blocks(address_of(memoryview(memory)), 0, 64, size, count)
    for _ in range(4):
        for number in range(count):
            header = (
                chance.choice(WORDS),
                chance.choice((0, 8, 192, 193, *WORDS)),
                chance.choice(WORDS),
                chance.choice(WORDS),
            )
            struct.pack_into("<4Q", memory, 64 + number * size, *header)
        numbers = [chance.randrange(count + 1) for _ in range(chance.randrange(4))]
        with suppress(ValueError):
            blocks.lowest_active(numbers)
            blocks.new_data(numbers)
            blocks.release(numbers[:16], chance.choice((0, 3, 1 << 63)))
    if chance.random() < 0.5:
        blocks.close()
        with suppress(ValueError):
            blocks.new_data([0])


def regions(chance: random.Random, size: int) -> tuple[Any, ...]:
    """Return memory whose words are small, or addresses in it."""
    made = []
    for number in range(chance.choice((1, 2, 2, 8, 8, 8, 70))):
        words = [chance.choice((0, 0, 0, 1, 2, 3, 0x1000, 0x2000, 0x2008, 0x3000, *WORDS)) for _ in range(40)]
        data = struct.pack("<40Q", *words)[: chance.choice((size, 320, 64, 8, 0))] + chance.choice((b"", bytes(size)))
        made.append((0x1000 + 0x1000 * number % 0x4000 + chance.choice((0, 0, 8)), len(data), data))
    return tuple(made)


def attack_values(core: Any, chance: random.Random, layout: Layout, program: Any) -> int:
    """Decode and search hostile memory as the argument of a function. Return the number of decoded arguments."""
    memory = regions(chance, layout.size)
    before = chance.choice((None, memory, regions(chance, layout.size)))
    limits = chance.choice((10_000, 30)), chance.choice((1 << 20, 300))
    decoded = 0
    for address in (0x1000, chance.choice(WORDS), chance.choice((0x1008, 0x2000))):
        decoded += core.decode(program, memory, before, address, *limits) is not NotImplemented
        core.find_bound_values(program, BoundLocation, memory, before, address, *limits)
    return decoded


BODIES = (
    b"\x92\x91\xcd\x10\x00\x91\x93\xcd\x10\x00\x08\xc4\x03abc",
    b"\x92\x00\x93\x01\x02\xc4\x02xy",
    b"\x91\x93\x01\x02\x03",
)


def attack_bodies(core: Any, chance: random.Random) -> None:
    """Read hostile bodies of events."""
    body = bytearray(chance.choice(BODIES))
    for _ in range(chance.randrange(3)):
        body[chance.randrange(len(body))] = chance.choice((0, 1, 0x91, 0x9F, 0xC4, 0xC6, 0xCF, 0xDC, 0xDD, 0xFF))
    start, end = chance.choice((0, 0, -1, 3)), chance.choice((len(body), len(body), 4, 1000))
    core.read_enter_body(bytes(body), start, end, bytes, {1: b"x"})
    core.read_leave_body(bytes(body), start, end, bytes, {1: b"x"}, ((1, 2, b"ab"),))


def column(chance: random.Random, size: int, count: int) -> bytes:
    """Return small numbers, and few that are large."""
    numbers = (chance.choice((0, 1, 2, 3, 4, 5, 5, 1 << 20, (1 << 8 * size) - 1)) for _ in range(count))
    return b"".join(number.to_bytes(size, "little") for number in numbers)


def attack_columns(core: Any, chance: random.Random) -> None:
    """Loop over columns that contradict each other."""

    def count() -> int:
        return chance.choice((6, 6, 6, 6, 6, 6, 0, 3, 9))

    def references() -> tuple[bytes, bytes, bytes]:
        return column(chance, 4, chance.choice((12, 40))), column(chance, 8, count()), column(chance, 4, count())

    def outcomes() -> tuple[Any, ...]:
        flags = bytes(chance.choice((0, 1, 1)) for _ in range(6))
        return flags, *(column(chance, 8, count()) for _ in range(4)), references(), references()

    def values() -> tuple[bytes, bytes, bytes, bytes]:
        return column(chance, 8, count()), column(chance, 8, count()), bytes(count()), column(chance, 8, count())

    calls: list[Callable[[], Any]] = [
        lambda: core.gather_column(column(chance, 8, count()), column(chance, 8, count())),
        lambda: core.mix_columns(column(chance, 8, count()), column(chance, 8, count())),
        lambda: core.mix_objects(
            column(chance, 8, count()),
            references(),
            column(chance, 8, count()),
            chance.choice((None, column(chance, 8, count()))),
        ),
        lambda: core.count_votes(
            column(chance, 8, count()),
            (references(), references()),
            (references(), references()),
            (column(chance, 8, count()), column(chance, 8, count())),
            (column(chance, 4, 6), column(chance, 4, 6)),
            (column(chance, 8, count()), column(chance, 8, 6)),
            2,
            1 << 40,
        ),
        lambda: core.elect(column(chance, 4, count()), column(chance, 4, count())),
        lambda: core.equal_values(values(), values(), 1, False),
        lambda: core.common_distance(column(chance, 4, count()), values(), values(), False),
        lambda: core.mix_uses(chance.choice((0, 4, 6, 1 << 20)), column(chance, 8, count()), references()),
        lambda: core.find_unchanged(column(chance, 8, count()), outcomes(), outcomes(), column(chance, 4, count())),
    ]
    for call in calls:
        with suppress(ValueError):
            call()


def attack_regions(core: Any, chance: random.Random) -> None:
    """Lay out and compare hostile regions."""
    memory, after = (regions(chance, chance.choice((0, 8, 100)))[: chance.choice((2, 5, 70))] for _ in range(2))
    patches = [(chance.choice((0x1000, 0x1008, 0x2000, *WORDS)), chance.randbytes(chance.randrange(30)))]
    word = chance.choice((4, 8, 8, 3))
    found = core.relocate_regions(memory, chance.choice(WORDS), 0x5000, 0x10000, word, patches)
    addresses = (column(chance, 8, 6), column(chance, 8, 6)) if not isinstance(found, tuple) else found[1:3]
    core.restore_regions(found[0] if isinstance(found, tuple) else after, *addresses, word)
    addresses, sizes = (0x1000, 0x1008, *WORDS), (0, 1, 4, 8, 8, 99)
    head = (None,) * 5
    places = [(*head, chance.choice(addresses), chance.choice(sizes), chance.choice((5, 5, -1, ""))) for _ in range(3)]
    core.compare_regions(memory, list(chance.choice((after, memory))), places)


def attack_keys(core: Any, chance: random.Random) -> None:
    """Make keys of hostile memory, with forms whose places are anywhere."""

    def places() -> tuple[tuple[int, int], ...]:
        return tuple(
            (chance.choice((0, 8, 30, 400)), chance.choice((0, 1, 8, 500))) for _ in range(chance.randrange(3))
        )

    def mask() -> tuple[Any, ...]:
        return chance.randbytes(chance.choice((0, 5, 64, 300))), places(), places()

    pointees = tuple((chance.choice((0, 8, 63, 400)), chance.choice((0, 1, 8, 96)), mask()) for _ in range(2))
    form = core.key_form(chance.choice(WORDS), chance.choice((4, 8)), mask(), mask(), places(), pointees)
    argument = chance.choice((None, None, chance.randbytes(chance.randrange(90))))
    core.call_keys(form, argument, chance.choice((0x1000, 0x2000, *WORDS)), regions(chance, 64))


def changed_frame(frame: EventFrame, chance: random.Random) -> EventFrame:
    """Return an event frame whose columns and bodies are other ones for the core."""
    parts: list[Any] = list(frame.to_core())
    for _ in range(chance.choice((0, 1, 1, 3))):
        number = chance.randrange(9)
        changed = bytearray(parts[number])
        for _ in range(chance.choice((1, 1, 5)) if changed else 0):
            changed[chance.randrange(len(changed))] = chance.choice((0, 1, 2, 0x91, 0xC4, 0xDD, 0xFF))
        if chance.random() < 0.1:
            changed = changed[: chance.randrange(len(changed) + 1)]
        parts[number] = bytes(changed)
    other = copy(frame)
    other._for_core = tuple(parts)
    return other


def attack_histories(chance: random.Random, trace: Trace) -> int:
    """Read a trace with changed frames into a history. Return the number of events that the core read."""
    reader, position, events = _Reader(trace, Names()), 0, 0
    for frame in trace.event_frames():
        reader.columns.grow(len(frame.calls))
        with suppress(ValueError, Error, LookupError, TypeError, OverflowError):
            reader._read_frame(changed_frame(frame, chance), position)
            events += len(frame.table)
        position += len(frame.calls)
    reader._state = None
    return events


def attack_objects(core: Any, chance: random.Random) -> None:
    """Create, search and destroy objects in an order that no trace has."""
    live = core.LiveObjects()

    def number() -> int:
        return chance.choice((0, 2, 3, 3, 4, 5, 6, 7, 9, 1 << 31))

    def value() -> int:
        return chance.choice((5, 6, 0x1000, 0x1001, 0x1008, *WORDS))

    calls: list[Callable[[], Any]] = [
        lambda: live.add(chance.choice((-1, 0, 9)), number(), value(), chance.random() < 0.5, False),
        lambda: live.bind(number(), chance.choice(("a", "b")), False, chance.choice((0, 3, number())), value()),
        lambda: live.find((), value()),
        lambda: live.find(("b", "a"), value()),
        lambda: live.find_at(chance.choice(("a", "b")), value()),
        lambda: live.find_freed(chance.choice(("a", "b")), value()),
        lambda: live.find_unknown(("a",), value()),
        lambda: live.row(number()),
        lambda: live.destroy(number(), 1),
    ]
    for _ in range(60):
        with suppress(LookupError, ValueError):
            chance.choice(calls if chance.random() < 0.5 else calls[:2])()
    live.take()


def attack_calls(core: Any, chance: random.Random, trace: Trace) -> None:
    """Read calls at wrong places of bodies."""
    for frame in trace.event_frames():
        size = len(frame.bodies)
        places = [chance.choice((-1, 0, size, chance.randrange(size + 1), *frame.offsets[:20])) for _ in range(4)]
        with suppress(ValueError):
            core.read_call(frame.bodies, places[0], places[1], frame.bodies, places[2], places[3], trace.blobs, {})
        with suppress(ValueError):
            core.find_calls(column(chance, 8, chance.randrange(4, 9)), bytes(chance.choices((0, 1, 2), k=6)))
        core.positions_of(column(chance, 4, chance.randrange(9)))


def main() -> None:
    """Attack until the time is over. Print the numbers of framed events, of decoded arguments and of read events."""
    core = installed.CORE = load(sys.argv[1])
    layouts = [
        (spec, lay_out(spec.argument, abi)) for spec in CALLS.values() if not spec.argument.parameters for abi in ABIS
    ]
    programs = [(layout, program_of(layout, spec.union_arms)) for spec, layout in layouts]
    chance, deadline = random.Random(1), time.monotonic() + float(sys.argv[2])
    framed = decoded = read = 0
    traces = [Trace(path) for path in sorted(resource("traces", "demo.kmt").parent.glob("*.kmt"))]
    while time.monotonic() < deadline:
        framed += attack(core, chance)
        for _ in range(3):
            decoded += attack_values(core, chance, *chance.choice(programs))
            attack_bodies(core, chance)
            attack_columns(core, chance)
            attack_regions(core, chance)
            attack_keys(core, chance)
        trace = chance.choice(traces)
        read += attack_histories(chance, trace)
        attack_objects(core, chance)
        attack_calls(core, chance, trace)
    print(framed, decoded, read)


if __name__ == "__main__":
    main()
