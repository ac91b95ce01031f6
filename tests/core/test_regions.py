"""The core lays out and compares regions as Python does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import require_core, without_core
from tests.strategies import examples
from tracekmt import core
from tracekmt.codec import BoundLocation
from tracekmt.codec.memory import Arena
from tracekmt.differ.fast_path import unchanged_except_bound_values
from tracekmt.replayer import relocate
from tracekmt.spec.dsl import in_
from tracekmt.spec.types import ABIS, Integer, Kind
from tracekmt.trace.events import Region

ADDRESSES = (0x10, 0x1000, 0x1010, 0x1018, 0x2000, 0x7000_0000)
GUARD, NULL_LIMIT = 0x6000_0000, 0x100

many = settings(max_examples=examples(300), deadline=None)


@pytest.fixture(autouse=True)
def native() -> core.Core:
    return require_core()


@st.composite
def regions(draw: st.DrawFn) -> tuple[Region, ...]:
    """Draw regions whose words are addresses of others. Some are unreadable, short, or overlap."""
    drawn = []
    for address in draw(st.lists(st.sampled_from(ADDRESSES), max_size=5)):
        words = draw(st.lists(st.sampled_from((0, 7, GUARD, *ADDRESSES)), max_size=4))
        data = b"".join(word.to_bytes(draw(st.sampled_from((4, 8))), "little") for word in words)
        data += draw(st.binary(max_size=3))
        wanted = draw(st.sampled_from((len(data), len(data), len(data), len(data) + 4)))
        drawn.append((address, wanted, draw(st.sampled_from((data, data, data, b"")))))
    return tuple(drawn)


patches = st.lists(st.tuples(st.sampled_from((0x1000, 0x1004, 0x2008, 0x8)), st.binary(min_size=1, max_size=9)))


@many
@given(st.sampled_from(ABIS), regions(), patches)
def test_relocated_regions(abi: Any, recorded: tuple[Region, ...], changes: list[tuple[int, bytes]]) -> None:
    arenas = Arena(abi, 1), Arena(abi, 1)
    lay_out = relocate._lay_out
    found = lay_out(recorded, arenas[0], GUARD, NULL_LIMIT, changes)
    assert found == without_core(lay_out, recorded, arenas[1], GUARD, NULL_LIMIT, changes)
    if found is None:
        return
    assert arenas[0].next_address == arenas[1].next_address
    call = relocate.RelocatedCall((0x1000, 5), found[0], found[1], arenas[0].pointer_size)
    assert call.recorded(found[0]) == without_core(call.recorded, found[0])


def test_regions_beyond_the_limit_of_the_core_are_left_to_python() -> None:
    recorded = tuple((0x1000 + 16 * number, 8, bytes([number]) * 8) for number in range(65))
    found = relocate._lay_out(recorded, Arena("x64", 1), GUARD, NULL_LIMIT, [])
    assert found is not None
    assert [data for _, _, data in found[0]] == [data for _, _, data in recorded]


class Call:
    """What a comparison of outcomes needs of a call."""

    def __init__(self, recorded: tuple[Region, ...], bound_outputs: list[BoundLocation]) -> None:
        self.leave = self
        self.regions = recorded
        self.bound_outputs = bound_outputs


def location(address: int, size: int, value: Any, *, signed: bool) -> BoundLocation:
    kind, path = Kind("object"), f"at {address:x} {size}"
    type_ = Integer("NUMBER", size, signed=signed, kind=kind)
    return BoundLocation(path, path, in_("Value", type_), type_, kind, address, size, value)


@many
@given(st.data(), regions())
def test_compared_outcomes(data: st.DataObject, recorded: tuple[Region, ...]) -> None:
    places = st.tuples(st.sampled_from((0x1000, 0x1004, 0x2000, 0x10, 0x9000)), st.sampled_from((1, 4, 8)))
    memory = {address: content for address, _, content in recorded}
    bound_outputs = []
    for address, size in data.draw(st.lists(places, max_size=3)):
        content = memory.get(address & ~0xF, b"")[address & 0xF :][:size]
        value = int.from_bytes(content, "little", signed=True)
        bound_outputs.append(location(address, size, data.draw(st.sampled_from((value, value, 5))), signed=True))
    after = list(recorded)
    for position in data.draw(st.sets(st.integers(0, max(len(after) - 1, 0)), max_size=2)) if after else ():
        address, wanted, content = after[position]
        start = data.draw(st.integers(0, 4))
        changed = b"\x85" * len(content[start : start + 4])
        after[position] = address, wanted, content[:start] + changed + content[start + 4 :]
    call: Any = Call(recorded, bound_outputs)
    arguments: tuple[Any, ...] = call, "x64", sorted(after)
    assert unchanged_except_bound_values(*arguments) == without_core(unchanged_except_bound_values, *arguments)


@pytest.mark.parametrize("signed", [False, True])
def test_a_replayed_value_is_found(signed: bool) -> None:
    call: Any = Call(((0x1000, 8, b"abcd\5\0\0\0"),), [location(0x1004, 4, 5, signed=signed)])
    for after, value in ((b"abcd\5\0\0\0", 5), (b"abcd\xff\xff\xff\xff", -1 if signed else 0xFFFFFFFF)):
        arguments: tuple[Any, ...] = call, "x64", [(0x1000, 8, after)]
        for found in (
            unchanged_except_bound_values(*arguments),
            without_core(unchanged_except_bound_values, *arguments),
        ):
            assert found is not None
            assert [bound.value for bound in found.values()] == [value]
    assert unchanged_except_bound_values(call, "x64", [(0x1000, 8, b"abcX\5\0\0\0")]) is None
