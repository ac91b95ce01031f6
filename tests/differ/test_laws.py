"""Laws that a comparison satisfies for every trace."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.differ.changes import Recording, relocate_call
from tracekmt import ntstatus
from tracekmt.codec import Unreadable, flags_to_int, iter_values, json_form
from tracekmt.findings import Report
from tracekmt.resources import resource
from tracekmt.spec.types import Bytes, Flags, Payload
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Enter, Leave
from tracekmt.trace.reader import Trace

DEMO = resource("traces", "demo.kmt")
SHIPPED = sorted(DEMO.parent.glob("*.kmt"))
CREATE = "D3DKMTCreateAllocation2"


def rewrite(path: Path, index: int, change: Callable[[TracedCall, dict[str, Any]], None]) -> Path:
    """Copy the demonstration trace with one call changed."""
    with tracekmt.open(DEMO) as trace, tracekmt.create(path, force=True) as other:
        for call in trace.calls():
            assert call.status is not None
            assert isinstance(call.inputs, dict)
            outcome: dict[str, Any] = {"outputs": deepcopy(call.outputs), "status": int(call.status)}
            if call.index == index:
                change(call, outcome)
            other.add(call.name, call.inputs, outcome["outputs"], status=outcome["status"], thread=call.thread)
    return path


def unchanged(call: TracedCall, outcome: dict[str, Any]) -> None:
    pass


def other_status(call: TracedCall, outcome: dict[str, Any]) -> None:
    outcome["status"] = int(ntstatus.status("STATUS_NO_MEMORY" if not outcome["status"] else "STATUS_DEVICE_BUSY"))


def causes(report: Report) -> list[tuple[Any, ...]]:
    return [(f.kind, f.index, f.recorded, f.replayed) for f in report.findings if f.cause is None and f.counts]


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws")


@pytest.mark.parametrize("index", range(19))
def test_any_changed_status_is_one_cause_in_both_directions(scratch: Path, index: int) -> None:
    same = rewrite(scratch / "same.kmt", -1, unchanged)
    changed = rewrite(scratch / "changed.kmt", index, other_status)
    assert tracekmt.diff(DEMO, same).same
    forward, backward = causes(tracekmt.diff(same, changed)), causes(tracekmt.diff(changed, same))
    assert [cause[:2] for cause in forward] == [("status", index)]
    assert backward == [(kind, call_index, after, before) for kind, call_index, before, after in forward]


@pytest.mark.parametrize(
    ("function", "field"),
    [("D3DKMTOpenAdapterFromLuid", "hAdapter"), ("D3DKMTCreateDevice", "hDevice"), (CREATE, "hAllocation")],
)
def test_a_nulled_handle_is_one_cause(scratch: Path, function: str, field: str) -> None:
    def null(call: TracedCall, outcome: dict[str, Any]) -> None:
        outputs = outcome["outputs"]
        holder = outputs["pAllocationInfo2"][0] if field == "hAllocation" else outputs
        assert holder[field]
        holder[field] = 0

    same = rewrite(scratch / "same.kmt", -1, unchanged)
    with tracekmt.open(DEMO) as trace:
        indexes = [call.index for call in trace.calls() if call.name == function and call.succeeded]
    for index in indexes:
        (cause,) = causes(tracekmt.diff(same, rewrite(scratch / "null.kmt", index, null)))
        assert cause == ("handle", index, "live", "null")


def test_a_flipped_byte_of_an_output_is_one_cause(tmp_path: Path) -> None:
    paths = []
    for flipped in (None, 0, 3, 7):
        paths.append(tmp_path / f"{flipped}.kmt")
        with tracekmt.create(paths[-1]) as trace:
            trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x40000000})
            budget = bytearray((1 << 32).to_bytes(8, "little"))
            if flipped is not None:
                budget[flipped] ^= 0x10
            inputs = {"hAdapter": 0x40000000, "MemorySegmentGroup": 0}
            trace.add("D3DKMTQueryVideoMemoryInfo", inputs, {"Budget": int.from_bytes(budget, "little")})
    for other in paths[1:]:
        (forward,) = causes(tracekmt.diff(paths[0], other))
        assert forward[:2] == ("field", 1)
        (backward,) = causes(tracekmt.diff(other, paths[0]))
        assert backward == (forward[0], forward[1], forward[3], forward[2])


@pytest.mark.parametrize("trace", SHIPPED, ids=lambda path: path.stem)
def test_other_handles_addresses_and_threads_are_the_same(tmp_path: Path, trace: Path) -> None:
    relocated = Recording(trace, relocate_call).write(tmp_path / "relocated.kmt")
    with Trace(trace) as left, Trace(relocated) as right:
        assert any(
            a.enter.regions[0][0] != b.enter.regions[0][0]
            for a, b in zip(left.calls(), right.calls(), strict=True)
            if a.enter.regions
        )
        changed = [a.index for a, b in zip(left.calls(), right.calls(), strict=True) if json(a) != json(b)]
        assert len(changed) > len(left) // 3
    for pair in ((trace, relocated), (relocated, trace)):
        report = tracekmt.diff(*pair)
        assert report.findings == []
        assert report.same


def json(call: TracedCall) -> Any:
    return call.to_json()["in"], call.to_json()["out"]


def compared_values(call: TracedCall) -> dict[str, Any]:
    """Return the outputs that a comparison looks at, without bound values."""
    compared = {}
    for value in iter_values(call.spec.argument, call.outputs):
        is_opaque = isinstance(value.type, Payload) or (isinstance(value.type, Bytes) and value.type.opaque)
        is_bound = value.kind is not None and value.kind.binding != "literal"
        if value.field.direction == "in" or is_opaque or is_bound or isinstance(value.value, Unreadable):
            continue
        compared[value.path] = json_form(value.type, value.value)
        if isinstance(value.type, Flags):
            flags = value.type
            written = [bit for bit in flags.bits if (bit.direction or value.field.direction) != "in"]
            compared[value.path] = [flags_to_int(flags, value.value) & flags.mask(bit.name) for bit in written]
    return compared


@pytest.mark.parametrize("trace", SHIPPED, ids=lambda path: path.stem)
def test_any_flipped_byte_of_compared_outputs_is_one_cause(tmp_path: Path, trace: Path) -> None:
    """Flip a byte in the memory after a call. It is one cause if its value is compared, otherwise it does not count."""
    chance, hits = random.Random(str(trace.stem)), 0
    with Trace(trace) as calls:
        candidates = [
            call.index for call in calls.calls() if call.leave is not None and call.succeeded and compared_values(call)
        ]
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

        flipped = Recording(trace, flip).write(tmp_path / "flipped.kmt")
        with Trace(trace) as left, Trace(flipped) as right:
            before, after = compared_values(left[index]), compared_values(right[index])
            if before.keys() != after.keys() or bound_values(left[index]) != bound_values(right[index]):
                continue  # The byte belongs to a count, an arm or a handle, not to data.
        forward = causes(tracekmt.diff(trace, flipped))
        changed = [path for path in before if before[path] != after[path]]
        assert len(forward) == len(changed) <= 1, (index, changed, forward)
        assert [cause[1] for cause in forward] == [index] * len(changed)
        hits += len(changed)
        backward = causes(tracekmt.diff(flipped, trace))
        assert [cause[:2] for cause in backward] == [cause[:2] for cause in forward]
    assert hits or not candidates


def bound_values(call: TracedCall) -> list[Any]:
    return [bound.value for bound in call.bound_outputs]
