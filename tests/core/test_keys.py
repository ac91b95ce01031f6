"""The core makes other keys of calls than Python, and they are equal for the same calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import require_core, without_core
from tests.strategies import examples, recordings
from tracekmt import core
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena
from tracekmt.differ.keys import keys_of, outcome_key
from tracekmt.spec.types import Abi
from tracekmt.trace.events import Region

BY_ADDRESS = sorted(name for name, spec in CALLS.items() if not spec.argument.parameters)


@pytest.fixture(autouse=True)
def native() -> core.Core:
    return require_core()


class Call:
    """What the keys need of a call and of its events: it returned 0 at once, with the memory as it was."""

    def __init__(self, name: str, abi: Abi, arguments: tuple[int, ...], regions: tuple[Region, ...]) -> None:
        self.spec, self.abi = CALLS[name], abi
        self.enter = self.leave = self
        self.arguments, self.regions = arguments, regions
        self.result = 0


def all_keys(call: Any) -> tuple[Any, ...]:
    weak, plain, contents, is_exact = keys_of(call)
    return weak, plain, contents, is_exact, outcome_key(call)


def assert_same_classes(calls: list[Any]) -> None:
    """Assert that two calls have equal keys in the core if they have equal ones in Python, and only then."""
    of_core, of_python = [all_keys(call) for call in calls], [without_core(all_keys, call) for call in calls]
    for number in range(5):
        pairs = {(keys[number], other[number]) for keys, other in zip(of_core, of_python, strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert [keys[3] for keys in of_core] == [keys[3] for keys in of_python]
    assert [keys[4][1] for keys in of_core] == [keys[4][1] for keys in of_python]
    # No contents are no contents on both sides.
    assert [keys[2] == 0 for keys in of_core] == [keys[2] == 0 for keys in of_python]


@pytest.mark.parametrize("name", BY_ADDRESS)
@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_function(name: str, data: st.DataObject) -> None:
    abi, address, regions, before = data.draw(recordings(CALLS[name]))
    variants = [regions, regions if before is None else before]
    for _ in range(3 if regions else 0):
        number = data.draw(st.integers(0, len(regions) - 1))
        start, size, content = regions[number]
        at = data.draw(st.integers(0, len(content)))
        changed = content[:at] + data.draw(st.sampled_from((b"\0", b"\1", b"\0" * 8, b"\xff" * 4)))
        changed = (changed + content[len(changed) :])[: len(content)]
        variants.append((*regions[:number], (start, size, changed), *regions[number + 1 :]))
    calls = [Call(name, abi, (address,), variant) for variant in variants]
    assert_same_classes([*calls, Call(name, abi, (), ()), Call(name, abi, (address + 8,), regions)])


def test_parameters() -> None:
    calls = [
        Call("D3DKMTShareObjects", "x64", arguments, ((0x1000, 4, handle),))
        for arguments in ((1, 0x1000, 0, 7, 0x2000), (2, 0x1000, 0, 7, 0x2000), (1, 0x1000, 0, 7, 0))
        for handle in (b"\1\0\0\0", b"\2\0\0\0")
    ]
    assert_same_classes(calls)


def test_calls_with_many_regions_are_left_to_python() -> None:
    name, arena = "D3DKMTCloseAdapter", Arena("x64")
    address = arena.place("argument", 4)
    regions = (*arena.regions(), *((0x9000 + 16 * number, 1, b"a") for number in range(70)))
    calls = [Call(name, "x64", (address,), each) for each in (regions, regions[:-1], regions)]
    assert_same_classes(calls)
