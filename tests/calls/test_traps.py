"""Known traps of the interface for tools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.record.walker import BASES, ROOM, Compiled, same_values
from tracekmt.calls import CALLS
from tracekmt.calls.kinds import FENCE, MONITORED_FENCE
from tracekmt.codec import Unreadable, decode, encode, iter_values
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.spec.describe import describe
from tracekmt.spec.layout import lay_out, measure
from tracekmt.spec.paths import element, fields
from tracekmt.spec.types import ABIS, Abi, Pointer, count_of


def laid_out(name: str, value: Any, abi: Abi = "x64") -> tuple[Arena, tuple[int, ...]]:
    arena = Arena(abi)
    return arena, encode(CALLS[name], abi, arena, value)


@pytest.mark.parametrize(
    ("name", "arm", "x64", "x86"),
    [("D3DKMTCreateAllocation", "pAllocationInfo", 40, 24), ("D3DKMTCreateAllocation2", "pAllocationInfo2", 96, 56)],
)
def test_the_function_determines_the_element_size(name: str, arm: str, x64: int, x86: int) -> None:
    element_type, _ = element(CALLS[name].argument.field(arm).type)
    assert [measure(element_type, abi)[0] for abi in ABIS] == [x64, x86]
    for abi in ABIS:
        arena, words = laid_out(name, {arm: [{"VidPnSourceId": 1}, {"VidPnSourceId": 2}]}, abi)
        sizes = [size for _, size, _ in arena.regions()]
        assert sizes[1] == 2 * (x64 if abi == "x64" else x86)
        value = decode(CALLS[name], abi, arena, words)
        assert isinstance(value, dict)
        assert [info["VidPnSourceId"] for info in value[arm]] == [1, 2]


def test_each_create_has_its_own_arm() -> None:
    with pytest.raises(Exception, match="give pAllocationInfo instead"):
        laid_out("D3DKMTCreateAllocation", {"pAllocationInfo2": []})
    for name, arm in (("D3DKMTOpenResource", "pOpenAllocationInfo"), ("D3DKMTOpenResource2", "pOpenAllocationInfo2")):
        arena, words = laid_out(name, {arm: [{}]})
        value = decode(CALLS[name], "x64", arena, words)
        assert isinstance(value, dict)
        assert arm in value


@pytest.mark.parametrize("abi", ABIS)
def test_a_priority_list_may_be_a_single_number_at_the_end_of_memory(compiled: Compiled, abi: Abi) -> None:
    spec = CALLS["D3DKMTMakeResident"]
    arena = Arena(abi, 1)
    words = encode(spec, abi, arena, {"AllocationList": [1, 2, 3], "PriorityList": 0x78000000})
    end = BASES[abi] + ROOM
    regions = arena.regions()
    moved = [(end - 4, 4, data) if size == 4 else (at, size, data) for at, size, data in regions]
    assert moved != regions
    size = 8 if abi == "x64" else 4
    at = 16 if abi == "x64" else 12
    argument = bytearray(moved[0][2])
    argument[at : at + size] = (end - 4).to_bytes(size, "little")
    moved[0] = (moved[0][0], moved[0][1], bytes(argument))
    enter, _ = compiled.walk(abi, spec.name, moved, words)
    value = decode(spec, abi, Recorded(enter.regions), enter.arguments)
    assert isinstance(value, dict)
    assert (value["AllocationList"], value["PriorityList"]) == ([1, 2, 3], 0x78000000)
    assert not any(isinstance(leaf.value, Unreadable) for leaf in iter_values(spec.argument, value))
    (priority,) = [field for field in describe(spec, "")["fields"] if field["path"] == "PriorityList"]
    assert priority["length"] is None


def test_a_word_of_inputs_may_have_an_output_bit() -> None:
    for name in ("D3DKMTCreateAllocation", "D3DKMTCreateAllocation2"):
        (flags,) = [field for field in describe(CALLS[name], "")["fields"] if field["path"] == "Flags"]
        assert flags["bits"]["Zeroed"] == 0x4000
        assert flags["bit_directions"] == {"Zeroed": "out"}


def test_capacity_in_and_size_out() -> None:
    spec = CALLS["D3DKMTEnumAdapters2"]
    arena, words = laid_out(spec.name, {"pAdapters": [{}, {}, {}]})
    before = Recorded(arena.regions())
    encode(spec, "x64", arena, {"NumAdapters": 2, "pAdapters": [{"hAdapter": 1}, {"hAdapter": 2}, {"hAdapter": 3}]})
    after = decode(spec, "x64", arena, words, before)
    assert isinstance(after, dict)
    assert [adapter["hAdapter"] for adapter in after["pAdapters"]] == [1, 2]
    # The array is too small: the call writes only the required number.
    encode(spec, "x64", arena, {"NumAdapters": 34, "pAdapters": [{}, {}, {}]})
    after = decode(spec, "x64", arena, words, before)
    assert isinstance(after, dict)
    assert (after["NumAdapters"], len(after["pAdapters"])) == (34, 3)


def test_a_query_for_the_number_alone() -> None:
    spec = CALLS["D3DKMTEnumAdapters3"]
    arena, words = laid_out(spec.name, {"pAdapters": None})
    before = Recorded(arena.regions())
    encode(spec, "x64", arena, {"NumAdapters": 32})
    after = decode(spec, "x64", arena, words, before)
    assert isinstance(after, dict)
    assert (after["NumAdapters"], after["pAdapters"]) == (32, None)


def test_an_opened_resource_has_its_data_in_another_buffer() -> None:
    """The call points each element into the total buffer, and returns the used size of that buffer."""
    spec = CALLS["D3DKMTOpenResource2"]
    inputs = {
        "pOpenAllocationInfo2": [{}, {}],
        "pTotalPrivateDriverDataBuffer": bytes(16),
        "pPrivateRuntimeData": b"\0",
    }
    arena, words = laid_out(spec.name, inputs)
    before = Recorded(arena.regions())
    _, (elements, *_), (total, *_), *_ = sorted(arena.regions(), key=lambda region: (region[1] != 72, -region[1]))
    arena.write(total, b"first---second--")
    for index, (at, size) in enumerate(((total, 5), (total + 8, 6))):
        element_at = elements + 80 * index
        arena.write(element_at + 8, at.to_bytes(8, "little") + size.to_bytes(4, "little"))
    arena.write(words[0] + 64, (14).to_bytes(4, "little"))
    after = decode(spec, "x64", Recorded(arena.regions()), words, before)
    assert isinstance(after, dict)
    assert [info["pPrivateDriverData"] for info in after["pOpenAllocationInfo2"]] == [b"first", b"second"]
    assert after["TotalPrivateDriverDataBufferSize"] == 14
    assert len(after["pTotalPrivateDriverDataBuffer"]) == 16, "a buffer keeps its capacity"


def counted_arrays() -> list[tuple[str, str, str]]:
    """Every array with a count in its own structure: function, array, count."""
    arrays = []
    for spec in CALLS.values():
        for path, field, holder in fields(spec.argument, arms=spec.union_arms):
            if isinstance(field.type, Pointer) and field.type.count and holder is spec.argument:
                length = count_of(field.type.count)
                if "." not in length.path and not (field.when and field.when.kind):
                    arrays.append((spec.name, path.removesuffix("[]"), length.path))
    return arrays


@pytest.mark.parametrize(("name", "array", "count"), counted_arrays())
def test_a_null_array_may_have_a_count(name: str, array: str, count: str) -> None:
    arena, words = laid_out(name, {array: None, count: 0xFFFFFFFF})
    value = decode(CALLS[name], "x64", arena, words)
    assert isinstance(value, dict)
    assert (value[array], value[count]) == (None, 0xFFFFFFFF)


@pytest.mark.parametrize(("name", "array", "count"), counted_arrays())
def test_an_array_with_an_absurd_count_is_copied_up_to_the_end_of_memory(
    compiled: Compiled,
    name: str,
    array: str,
    count: str,
) -> None:
    spec = CALLS[name]
    pointer = spec.argument.field(array).type
    assert isinstance(pointer, Pointer)
    arena = Arena("x64", 1)
    words = encode(spec, "x64", arena, {array: []})
    argument = (
        bytearray(arena.read(words[0], measure(spec.argument, "x64")[0])) if not spec.argument.parameters else None
    )
    last = BASES["x64"] + ROOM - 2 * measure(pointer.to, "x64")[0]
    if argument is None:
        words = tuple(0xFFFFFFFF if at == 0 else last if at == 1 else word for at, word in enumerate(words))
        regions = arena.regions()
    else:
        layout = lay_out(spec.argument, "x64")
        for field, number in ((array, last), (count, 0xFFFFFFFF)):
            slot = layout.slot(field)
            argument[slot.offset : slot.offset + slot.size] = number.to_bytes(slot.size, "little")
        regions = [(words[0], len(argument), bytes(argument))]
    enter, leave = compiled.walk("x64", name, regions, words)
    value = decode(spec, "x64", Recorded(enter.regions), enter.arguments)
    assert isinstance(value, dict)
    assert len(value[array]) == 3, "two elements, and the end of the memory"
    assert isinstance(value[array][2], Unreadable)
    assert decode(spec, "x64", Recorded(leave.regions), enter.arguments, Recorded(enter.regions)) is not None


def test_all_arms_are_copied_if_only_the_object_decides(compiled: Compiled) -> None:
    spec = CALLS["D3DKMTWaitForSynchronizationObjectFromGpu"]
    inputs = {"ObjectHandleArray": [1, 2], "MonitoredFenceValueArray": [7, 8]}
    for abi in ABIS:
        value = same_values(compiled, spec, abi, inputs, lambda handle: MONITORED_FENCE)
        assert value["MonitoredFenceValueArray"] == [7, 8]
        value = same_values(compiled, spec, abi, {"ObjectHandleArray": [1], "FenceValue": 7}, lambda handle: FENCE)
        assert value["FenceValue"] == 7


@pytest.mark.parametrize("name", ["D3DKMTSetAllocationPriority", "D3DKMTGetAllocationPriority"])
def test_a_resource_has_one_priority_though_the_count_is_none(compiled: Compiled, name: str) -> None:
    for abi in ABIS:
        value = same_values(compiled, CALLS[name], abi, {"hResource": 1, "pPriorities": [7]})
        assert (value["pPriorities"], value["AllocationCount"]) == ([7], 0)
        value = same_values(compiled, CALLS[name], abi, {"phAllocationList": [1, 2], "pPriorities": [7, 8]})
        assert (value["pPriorities"], value["AllocationCount"]) == ([7, 8], 2)
