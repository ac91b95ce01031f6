"""The live objects of the core are those of Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import require_core
from tests.strategies import examples
from tracekmt import core
from tracekmt.differ.columns import FIRST, NO_BIRTH, Objects
from tracekmt.differ.live_objects import LiveObjects, LiveObjectsInCore, LiveObjectsInPython
from tracekmt.spec.types import Kind

DEVICE, PROCESS = Kind("device"), Kind("process", external=True)
ALLOCATION = Kind("allocation", dies_with=(DEVICE,))
ANY = Kind("any", any_of=(DEVICE, ALLOCATION))
RANGE = Kind("range", binding="range", dies_with=(DEVICE,))
HANDLES = DEVICE, PROCESS, ALLOCATION, ANY
RANGES = RANGE, Kind("device", binding="range")
LAST = (1 << 64) - 1
ADDRESSES = *range(0x1000, 0x1010, 2), 0, LAST - 1, LAST
SIZES = 0, 1, 2, 5, 16, LAST, 1 << 70, -1

Step = Callable[[LiveObjects], Any]
"""Changes live objects, or asks for some."""


def in_core() -> LiveObjectsInCore:
    require_core()
    assert core.CORE is not None
    return LiveObjectsInCore(core.CORE)


def columns(objects: Objects) -> list[list[int]]:
    taken = objects.births, objects.paths, objects.values, objects.is_range, objects.chosen, objects.deaths
    return [list(column) for column in taken]


def destroy(number: int, position: int, live: LiveObjects) -> None:
    live.destroy(number, position)


def search(kind: Kind, value: int, live: LiveObjects) -> Any:
    found, destroyed = live.find(kind, value), live.find_destroyed(kind, value)
    unknown = live.find_unknown(kind, value) if found is None and kind not in RANGES else None
    return found, unknown, destroyed[:1], set(destroyed)


@st.composite
def drawn_steps(draw: st.DrawFn) -> list[Step]:
    """Draw creations, destructions and searches of objects and ranges with few handles and addresses."""
    steps: list[Step] = []
    count = FIRST

    def create(number: int, kind: Kind, value: int, owner: int | None, size: int) -> Step:
        is_range = kind in RANGES

        def step(live: LiveObjects) -> Any:
            added = live.add(number, 5, value, is_range=is_range, is_chosen=bool(size & 1))
            live.bind(added, kind, owner, size)
            return added, live.origin(added), live.is_chosen(added)

        return step

    for position in range(draw(st.integers(1, 30))):
        kind = draw(st.sampled_from([*HANDLES, *RANGES, RANGE]))
        value = draw(st.sampled_from(ADDRESSES if kind in RANGES else (5, 6, 7, -1)))
        number = draw(st.integers(FIRST, count - 1)) if count > FIRST else None
        match draw(st.sampled_from(["create", "create", "create", "find", "destroy"])):
            case "create":
                steps.append(
                    create(position, kind, value, number, draw(st.sampled_from(SIZES)) if kind in RANGES else 0)
                )
                count += 1
            case "destroy" if number is not None:
                steps.append(partial(destroy, number, position))
            case _:
                steps.append(partial(search, kind, value))
    return steps


@settings(max_examples=examples(500), deadline=None)
@given(drawn_steps())
def test_random_steps(steps: list[Step]) -> None:
    native, reference = in_core(), LiveObjectsInPython()
    for step in steps:
        assert step(native) == step(reference)
    assert columns(native.take()) == columns(reference.take())


@pytest.fixture(params=["core", "python"])
def live(request: pytest.FixtureRequest) -> LiveObjects:
    return in_core() if request.param == "core" else LiveObjectsInPython()


def test_an_object_is_destroyed_with_its_owner(live: LiveObjects) -> None:
    device, other, *rest = (live.add(position, 0, value) for position, value in enumerate((5, 6, 7, 8, 9)))
    live.bind(device, DEVICE, None)
    live.bind(other, DEVICE, None)
    for number, owner in zip(rest, (device, other, device), strict=True):
        live.bind(number, ALLOCATION, owner)
    live.destroy(device, 9)
    assert [live.find(ALLOCATION, handle) for handle in (7, 8, 9)] == [None, rest[1], None]
    assert list(live.take().deaths) == [-1] * FIRST + [9, -1, 9, -1, 9]


def test_a_chain_of_owners_of_any_length(live: LiveObjects) -> None:
    """A trace may describe a kind of objects that are within each other."""
    first = owner = live.add(NO_BIRTH, 0, 1)
    live.bind(first, DEVICE, None)
    for handle in range(2, 5000):
        number = live.add(NO_BIRTH, 0, handle)
        live.bind(number, DEVICE, owner)
        owner = number
    live.destroy(first, 3)
    assert live.find(DEVICE, 4000) is None
    assert live.take().deaths.count(3) == 4999


def test_methods_of_the_core_refuse_what_is_no_object() -> None:
    table = in_core().table
    with pytest.raises(IndexError, match="no object 2"):
        table.row(2)
    with pytest.raises(IndexError, match="no object 3"):
        table.destroy(3, 0)
    number = table.add(-1, 0, 5, False, False)
    with pytest.raises(IndexError, match="no object 7"):
        table.bind(number, "device", False, 7, 0)
    table.bind(number, "device", False, 0, 0)
    with pytest.raises(ValueError, match="object 3 is bound already"):
        table.bind(number, "device", False, 0, 0)
    assert len(table.take()[0]) == 8 * (FIRST + 1)
    assert table.add(-1, 0, 5, False, False) == FIRST
