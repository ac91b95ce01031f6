"""The core loops over the columns of a comparison as Python does. Only the keys that it mixes are other numbers."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import require_core, without_core
from tests.strategies import examples
from tracekmt import core
from tracekmt.differ import columns
from tracekmt.differ.columns import FIRST, NO_BIRTH, NO_PARTNER, CallObjects, Outcomes

OBJECTS = FIRST + 6
Lists = list[list[int]]

many = settings(max_examples=examples(200), deadline=None)
numbers = st.integers(0, 5)  # hash(-1) == hash(-2) in Python
lists = st.lists(st.lists(st.integers(0, OBJECTS - 1), max_size=4), min_size=1, max_size=6)
object_numbers = st.lists(numbers, min_size=OBJECTS, max_size=OBJECTS)


@pytest.fixture(autouse=True)
def native() -> core.Core:
    return require_core()


def call_objects(calls: Lists) -> CallObjects:
    """Return the objects of calls, of which the last one was set first."""
    objects, starts = array("I"), array("q", [0] * len(calls))
    for position in reversed(range(len(calls))):
        starts[position] = len(objects)
        objects.extend(calls[position])
    return CallObjects(objects.tobytes(), starts.tobytes(), array("I", map(len, calls)).tobytes())


def assert_same_classes(one: array[int], other: array[int]) -> None:
    """Assert that two columns of keys have equal keys at the same places."""
    pairs = {(a, b) for a, b in zip(one, other, strict=True)}
    assert len(pairs) == len(set(one)) == len(set(other))


@many
@given(st.lists(st.tuples(numbers, numbers), max_size=8))
def test_mixed_keys(pairs: list[tuple[int, int]]) -> None:
    keys, others = array("q", [a for a, _ in pairs]), array("q", [b for _, b in pairs])
    assert_same_classes(columns.mix(keys, others), without_core(columns.mix, keys, others))


@many
@given(st.data(), lists, object_numbers)
def test_keys_of_objects(data: st.DataObject, calls: Lists, values: list[int]) -> None:
    keys = array("q", data.draw(st.lists(st.integers(0, 1), min_size=len(calls), max_size=len(calls))))
    births = data.draw(st.none() | st.lists(st.integers(NO_BIRTH, 5), min_size=OBJECTS, max_size=OBJECTS))
    given_columns = keys, call_objects(calls), array("q", values), None if births is None else array("q", births)
    mixed = columns.mix_objects(*given_columns)
    assert_same_classes(mixed, without_core(columns.mix_objects, *given_columns))


@many
@given(st.lists(numbers, min_size=1, max_size=9), st.data())
def test_gathered_keys(keys: list[int], data: st.DataObject) -> None:
    """No position has the key 0."""
    positions = array("q", data.draw(st.lists(st.integers(-1, len(keys) - 1))))
    expected = array("q", [keys[position] if position >= 0 else 0 for position in positions])
    assert columns.gather(array("q", keys), positions) == expected
    assert without_core(columns.gather, array("q", keys), positions) == expected


def partners(data: st.DataObject, left: int, right: int) -> array[int]:
    """Draw a counterpart, or none, for each left call."""
    return array("q", data.draw(st.lists(st.integers(NO_PARTNER, right - 1), min_size=left, max_size=left)))


@many
@given(lists, st.data())
def test_uses_of_objects(calls: Lists, data: st.DataObject) -> None:
    keys = array("q", data.draw(st.lists(st.integers(0, 1), min_size=len(calls), max_size=len(calls))))
    arguments = OBJECTS, keys, call_objects(calls)
    assert_same_classes(columns.uses_of(*arguments), without_core(columns.uses_of, *arguments))


@many
@given(st.lists(st.integers(0, 3), max_size=12))
def test_positions_of_numbers(given_numbers: list[int]) -> None:
    column = array("I", given_numbers)
    positions = columns.positions_of(column)
    assert list(positions.items()) == list(without_core(columns.positions_of, column).items())


@many
@given(st.data())
def test_unchanged_calls(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))

    def outcomes() -> Outcomes:
        flags = array("B", data.draw(st.lists(st.sampled_from([1, 1, 1, 0]), min_size=count, max_size=count)))
        key_lists = [
            array("q", data.draw(st.lists(st.sampled_from([5, 5, 5, 0, -1]), min_size=count, max_size=count)))
            for _ in range(4)
        ]
        few = st.lists(st.lists(st.integers(0, FIRST + 1), max_size=1), min_size=count, max_size=count)
        first, second = call_objects(data.draw(few)), call_objects(data.draw(few))
        return Outcomes(flags, (key_lists[0], key_lists[1], key_lists[2], key_lists[3]), first, second)

    left, right = outcomes(), data.draw(st.sampled_from([outcomes, None])) or None
    other = left if right is None else outcomes()
    counterparts = array("I", data.draw(st.lists(st.integers(0, OBJECTS), min_size=OBJECTS, max_size=OBJECTS)))
    arguments: tuple[Any, ...] = partners(data, count, count), left, other, counterparts
    assert bytes(columns.find_unchanged(*arguments)) == bytes(without_core(columns.find_unchanged, *arguments))


def test_an_unchanged_call_is_found() -> None:
    """The property above would also hold if no call was ever unchanged."""
    keys = array("q", [7, 0])
    side = Outcomes(array("B", [1, 1]), (keys, keys, keys, keys), call_objects([[FIRST], []]), call_objects([[], []]))
    counterparts = array("I", [0, 0, 0, FIRST])
    for work in (columns.find_unchanged, lambda *all_: without_core(columns.find_unchanged, *all_)):
        assert bytes(work(array("q", [0, 1]), side, side, counterparts)) == b"\1\0"


def test_columns_that_contradict_each_other_are_errors(native: core.Core) -> None:
    eight, four = bytes(8), bytes(4)
    far = (1 << 40).to_bytes(8, "little")
    with pytest.raises(ValueError, match="no such position"):
        native.gather_column(eight, far)
    with pytest.raises(ValueError, match="different lengths"):
        native.mix_columns(eight, b"")
    for parts in ((four, far, four), (b"", eight, b"\1\0\0\0"), (four, b"", b"")):
        with pytest.raises(ValueError, match="no such"):
            native.mix_objects(eight, parts, eight, None)
    with pytest.raises(ValueError, match="no such object"):
        native.mix_objects(eight, (b"\5\0\0\0", eight, b"\1\0\0\0"), eight, None)


def test_numbers_of_which_python_has_one_hash_have_two_keys() -> None:
    for mix in (columns.mix_numbers, lambda numbers: without_core(columns.mix_numbers, numbers)):
        assert len({mix([5 + distance]) for distance in (0, (1 << 61) - 1, (1 << 64) - 8)}) == 3
        assert mix([-1]) == mix([(1 << 64) - 1])
