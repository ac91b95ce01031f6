"""The core votes for objects as Python does."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import require_core, without_core
from tests.core.test_columns import OBJECTS, call_objects, lists, many, partners
from tracekmt import core
from tracekmt.differ.columns import FIRST, NO_BIRTH, Objects
from tracekmt.differ.votes import Side, Values, Votes, count_votes, elect, equal_values

Lists = list[list[int]]


@pytest.fixture(autouse=True)
def native() -> core.Core:
    return require_core()


@many
@given(st.data())
def test_votes(data: st.DataObject) -> None:
    left, right = data.draw(lists), data.draw(lists)

    def side(calls: Lists) -> Side:
        outputs = data.draw(st.lists(st.lists(st.integers(0, OBJECTS - 1), max_size=3), min_size=6, max_size=6))
        births = data.draw(st.lists(st.integers(NO_BIRTH, 5), min_size=OBJECTS, max_size=OBJECTS))
        return Side(call_objects(calls), call_objects(outputs[: len(calls)]), array("q", births))

    sides, paired = (side(left), side(right)), partners(data, len(left), len(right))
    favourites = data.draw(st.lists(st.integers(0, OBJECTS - 1), min_size=OBJECTS, max_size=OBJECTS))

    def votes() -> tuple[Votes, Votes]:
        first, second = (
            Votes(array("I", [each % OBJECTS for each in favourites]), array("q", [start] * OBJECTS))
            for start in (0, 3)
        )
        return first, second

    weights = data.draw(st.sampled_from([(2, 2), (2, 1 << 40), (1, 5)]))
    assert count_votes(paired, sides, votes(), *weights) == without_core(count_votes, paired, sides, votes(), *weights)


@many
@given(st.data())
def test_elections(data: st.DataObject) -> None:
    sizes = data.draw(st.integers(FIRST, OBJECTS)), data.draw(st.integers(FIRST, OBJECTS))

    def votes(own: int, other: int) -> Votes:
        objects = st.sampled_from([0, *range(FIRST, other)])
        favourites = data.draw(st.lists(objects, min_size=own, max_size=own))
        return Votes(array("I", favourites), array("q", [1] * own))

    both = votes(*sizes), votes(*sizes[::-1])
    assert elect(both) == without_core(elect, both)


def test_a_vote_of_both_sides_counts_more_than_that_of_one() -> None:
    left, right = (Votes(array("I", [0, 0, 0, *rest]), array("q")) for rest in ([4, 4, 5], [0, 4, 3]))
    for chosen in (elect((left, right)), without_core(elect, (left, right))):
        assert list(chosen) == [0, 0, 0, 0, 4, 5]


@many
@given(st.data())
def test_equal_values(data: st.DataObject) -> None:
    def values() -> Values:
        objects = Objects()
        for _ in range(data.draw(st.integers(0, 8))):
            birth, value = data.draw(st.integers(NO_BIRTH, 1)), data.draw(st.sampled_from([0, 5, 6, 7, (1 << 64) - 1]))
            objects.add(birth, 0, value, is_range=data.draw(st.booleans()))
        return Values(objects, array("q", [3, 3 + data.draw(st.integers(0, 1))]))

    arguments = values(), values(), data.draw(st.sampled_from([0, 1, -1, 1 << 40, 1 - (1 << 64)]))
    for is_range in (False, True):
        found = equal_values(*arguments, is_range=is_range)
        assert found == without_core(lambda chosen: equal_values(*arguments, is_range=chosen), is_range)


def test_the_nth_object_with_a_value_is_that_of_the_nth() -> None:
    one, other = Objects(), Objects()
    for objects, base in ((one, 0), (other, 16)):
        for value in (5, 6, 5):
            objects.add(0, 0, value + base)
    keys = array("q", [1])
    found = equal_values(Values(one, keys), Values(other, keys), 16, is_range=False)
    assert list(map(list, found)) == [[3, 4, 5], [3, 4, 5]]


def test_columns_that_contradict_each_other_are_errors(native: core.Core) -> None:
    with pytest.raises(ValueError, match="no such object"):
        native.elect(b"\5\0\0\0", bytes(4))
    values = bytes(32), bytes(32), bytes(4), bytes(8)
    with pytest.raises(ValueError, match="different lengths"):
        native.equal_values((*values[:2], bytes(3), values[3]), values, 0, False)
    for sides in (((*values[:3], b""), values), (values, (*values[:3], b""))):
        with pytest.raises(ValueError, match="no such call"):
            native.equal_values(*sides, 0, False)
