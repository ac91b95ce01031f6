"""The laws that a comparison keeps, whatever the trace."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt import ntstatus
from tracekmt.codec import BoundLocation, Unreadable, flags_to_int, iter_values, json_form
from tracekmt.findings import Report
from tracekmt.resources import resource
from tracekmt.spec.layout import lay_out
from tracekmt.spec.types import POINTER_SIZE, Bytes, Flags, Payload
from tracekmt.trace.call import BoundValue, TracedCall
from tracekmt.trace.events import Enter, Header, Leave, Region
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

DEMO = resource("traces", "demo.kmt")
SHIPPED = sorted(DEMO.parent.glob("*.kmt"))
CREATE = "D3DKMTCreateAllocation2"


def rewrite(path: Path, index: int, change: Callable[[TracedCall, dict[str, Any]], None]) -> Path:
    """The demonstration's trace once more, with one call changed."""
    with tracekmt.open(DEMO) as trace, tracekmt.create(path, force=True) as other:
        for call in trace.calls():
            assert call.status is not None
            assert isinstance(call.inputs, dict)
            told: dict[str, Any] = {"outputs": deepcopy(call.outputs), "status": int(call.status)}
            if call.index == index:
                change(call, told)
            other.add(call.name, call.inputs, told["outputs"], status=told["status"], thread=call.thread)
    return path


def unchanged(call: TracedCall, told: dict[str, Any]) -> None:
    pass


def other_status(call: TracedCall, told: dict[str, Any]) -> None:
    told["status"] = int(ntstatus.status("STATUS_NO_MEMORY" if not told["status"] else "STATUS_DEVICE_BUSY"))


def causes(report: Report) -> list[tuple[Any, ...]]:
    return [(f.kind, f.index, f.recorded, f.replayed) for f in report.findings if f.cause is None and f.counts]


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws")


@pytest.mark.parametrize("index", range(19))
def test_any_changed_status_is_one_cause_and_the_mirror_says_the_same(scratch: Path, index: int) -> None:
    same = rewrite(scratch / "same.kmt", -1, unchanged)
    changed = rewrite(scratch / "changed.kmt", index, other_status)
    assert tracekmt.diff(DEMO, same).same
    there, back = causes(tracekmt.diff(same, changed)), causes(tracekmt.diff(changed, same))
    assert [(kind, place) for kind, place, *_ in there] == [("status", index)]
    assert back == [(kind, place, after, before) for kind, place, before, after in there]


@pytest.mark.parametrize(
    ("function", "field"),
    [("D3DKMTOpenAdapterFromLuid", "hAdapter"), ("D3DKMTCreateDevice", "hDevice"), (CREATE, "hAllocation")],
)
def test_a_nulled_handle_is_one_cause(scratch: Path, function: str, field: str) -> None:
    def null(call: TracedCall, told: dict[str, Any]) -> None:
        holder = told["outputs"]["pAllocationInfo2"][0] if field == "hAllocation" else told["outputs"]
        assert holder[field]
        holder[field] = 0

    same = rewrite(scratch / "same.kmt", -1, unchanged)
    with tracekmt.open(DEMO) as trace:
        made = [call.index for call in trace.calls() if call.name == function and call.succeeded]
    for index in made:
        (found,) = causes(tracekmt.diff(same, rewrite(scratch / "null.kmt", index, null)))
        assert found == ("handle", index, "live", "null")


def test_a_flipped_byte_of_what_a_call_writes_is_one_cause(tmp_path: Path) -> None:
    """Of every byte that the call hands back in a field of its own."""
    paths = []
    for flipped in (None, 0, 3, 7):
        paths.append(tmp_path / f"{flipped}.kmt")
        with tracekmt.create(paths[-1]) as trace:
            trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x40000000})
            budget = bytearray((1 << 32).to_bytes(8, "little"))
            if flipped is not None:
                budget[flipped] ^= 0x10
            asked = {"hAdapter": 0x40000000, "MemorySegmentGroup": 0}
            trace.add("D3DKMTQueryVideoMemoryInfo", asked, {"Budget": int.from_bytes(budget, "little")})
    for other in paths[1:]:
        (found,) = causes(tracekmt.diff(paths[0], other))
        assert found[:2] == ("field", 1)
        (back,) = causes(tracekmt.diff(other, paths[0]))
        assert back == (found[0], found[1], found[3], found[2])


MOVED = 0x1000_0000
"""By how much memory lies elsewhere, and by how much handles are others."""


def elsewhere(region: Region, known: Iterable[Region], size: int) -> Region:
    """A region at another address, and with it every pointer in it that leads to a region."""
    address, wanted, data = region
    moved = bytearray(data)
    for at in range(0, len(data) - size + 1, size):
        flags_to_int = int.from_bytes(data[at : at + size], "little")
        if any(start <= flags_to_int < start + max(length, 1) for start, length, _ in known):
            moved[at : at + size] = (flags_to_int + MOVED).to_bytes(size, "little")
    return address + MOVED, wanted, bytes(moved)


def renamed(call: TracedCall, regions: tuple[Region, ...], found: Iterable[BoundValue]) -> tuple[Region, ...]:
    """The same memory with other handles."""
    blocks = [(address, wanted, bytearray(data)) for address, wanted, data in regions]
    for each in found:
        if each.kind is None or each.kind.binding != "handle" or not each.value or each.kind.external:
            continue
        start, size = place_of(call, each)
        for address, _, data in blocks:
            if 0 <= start - address <= len(data) - size:
                data[start - address : start - address + size] = (each.value + MOVED).to_bytes(size, "little")
    return tuple((address, wanted, bytes(data)) for address, wanted, data in blocks)


def place_of(call: TracedCall, found: BoundValue) -> tuple[int, int]:
    """Where a value lies, and how many bytes it is. One without an address of its own is taken for a field of the
    argument."""
    if isinstance(found, BoundLocation):
        return found.address, found.size
    begin, end, _ = lay_out(call.spec.argument, call.abi).span(found.path)
    return call.enter.arguments[0] + begin, end - begin


def copied(source: Path, path: Path, change: Callable[[TracedCall], tuple[Enter, Leave | None]]) -> Path:
    """A trace once more, with other events."""
    with Trace(source) as trace:
        writer = Writer(path, Header(trace.header.abi, wchar=trace.header.wchar), force=True)
        for number, call in trace.described.items():
            writer.describe(number, call)
        calls = {call.index: change(call) for call in trace.calls()}
        numbers = count()
        sequences: dict[int, int] = {}
        for index, left in trace.timeline():
            enter, leave = calls[index]
            if not left:
                sequences[index] = next(numbers)
                writer.events([replace(enter, sequence=sequences[index])], flush=False)
            elif leave is not None:
                writer.events([replace(leave, sequence=next(numbers), enter=sequences[index])], flush=False)
        writer.end("copied", None)
        writer.close()
    return path


def elsewhere_call(call: TracedCall) -> tuple[Enter, Leave | None]:
    """A call with other handles, at other addresses, on another thread."""
    enter, leave = call.enter, call.leave
    size = POINTER_SIZE[call.abi]
    known = enter.regions + (leave.regions if leave is not None else ())

    def move(regions: tuple[Region, ...], found: Iterable[BoundValue]) -> tuple[Region, ...]:
        return tuple(elsewhere(region, known, size) for region in renamed(call, regions, found))

    arguments = tuple(each + MOVED if any(each == start for start, _, _ in known) else each for each in enter.arguments)
    there = replace(
        enter, thread=7919 - enter.thread % 1000, arguments=arguments, regions=move(enter.regions, call.bound_inputs)
    )
    if leave is not None:
        leave = replace(leave, regions=move(leave.regions, call.bound_outputs))
    return there, leave


@pytest.mark.parametrize("trace", SHIPPED, ids=lambda path: path.stem)
def test_other_handles_addresses_and_threads_are_the_same(tmp_path: Path, trace: Path) -> None:
    there = copied(trace, tmp_path / "there.kmt", elsewhere_call)
    with Trace(trace) as mine, Trace(there) as other:
        assert any(
            a.enter.regions[0][0] != b.enter.regions[0][0]
            for a, b in zip(mine.calls(), other.calls(), strict=True)
            if a.enter.regions
        )
        changed = [a.index for a, b in zip(mine.calls(), other.calls(), strict=True) if json(a) != json(b)]
        assert len(changed) > len(mine) // 3
    for pair in ((trace, there), (there, trace)):
        report = tracekmt.diff(*pair)
        assert report.findings == []
        assert report.same


def json(call: TracedCall) -> Any:
    return call.to_json()["in"], call.to_json()["out"]


def told(call: TracedCall) -> dict[str, Any]:
    """What a comparison looks at in a call's outputs besides what stands for something: fields that the call writes."""
    found = {}
    for leaf in iter_values(call.spec.argument, call.outputs):
        opaque = isinstance(leaf.type, Payload) or (isinstance(leaf.type, Bytes) and leaf.type.opaque)
        bound = leaf.kind is not None and leaf.kind.binding != "literal"
        if leaf.field.direction != "in" and not opaque and not bound and not isinstance(leaf.value, Unreadable):
            found[leaf.path] = json_form(leaf.type, leaf.value)
            if isinstance(leaf.type, Flags):
                written = [bit for bit in leaf.type.bits if (bit.direction or leaf.field.direction) != "in"]
                found[leaf.path] = [flags_to_int(leaf.type, leaf.value) & leaf.type.mask(bit.name) for bit in written]
    return found


@pytest.mark.parametrize("trace", SHIPPED, ids=lambda path: path.stem)
def test_any_flipped_byte_of_what_calls_write_is_one_cause(tmp_path: Path, trace: Path) -> None:
    """Some bytes anywhere in what calls left behind: where one is of compared data, it is one cause, there; else none
    that counts. What is compared is told here by the values alone."""
    chance, hits = random.Random(str(trace.stem)), 0
    with Trace(trace) as calls:
        candidates = [call.index for call in calls.calls() if call.leave is not None and call.succeeded and told(call)]
    for _ in range(25 if candidates else 0):
        index = chance.choice(candidates)

        def flip(call: TracedCall, index: int = index) -> tuple[Enter, Leave | None]:
            if call.index != index or call.leave is None:
                return call.enter, call.leave
            regions = list(call.leave.regions)
            number = chance.randrange(len(regions))
            address, wanted, data = regions[number]
            at = chance.randrange(len(data))
            regions[number] = address, wanted, data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
            return call.enter, replace(call.leave, regions=tuple(regions))

        there = copied(trace, tmp_path / "flipped.kmt", flip)
        with Trace(trace) as mine, Trace(there) as other:
            before, after = told(mine[index]), told(other[index])
            if before.keys() != after.keys() or bound(mine[index]) != bound(other[index]):
                continue  # another count or arm, or another handle: not a byte of data
        found = causes(tracekmt.diff(trace, there))
        changed = [path for path in before if before[path] != after[path]]
        assert len(found) == len(changed) <= 1, (index, changed, found)
        assert [place for _, place, *_ in found] == [index] * len(changed)
        hits += len(changed)
        back = causes(tracekmt.diff(there, trace))
        assert [(kind, place) for kind, place, *_ in back] == [(kind, place) for kind, place, *_ in found]
    assert hits or not candidates


def bound(call: TracedCall) -> list[Any]:
    return [each.value for each in call.bound_outputs]
