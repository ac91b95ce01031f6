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
from tracekmt.differ.votes import Side, Values, Votes, common_distance, count_votes, elect, equal_values

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
        favourites = data.draw(st.lists(objects, min_size=own - FIRST, max_size=own - FIRST))
        return Votes(array("I", [0] * FIRST + favourites), array("q", [1] * own))

    both = votes(*sizes), votes(*sizes[::-1])
    rights, lefts = elect(both)
    assert (rights, lefts) == without_core(elect, both)
    assert [(a, b) for a, b in enumerate(rights) if b] == sorted((a, b) for b, a in enumerate(lefts) if a)


def test_a_vote_of_both_sides_counts_more_than_that_of_one() -> None:
    left, right = (Votes(array("I", [0, 0, 0, *rest]), array("q")) for rest in ([4, 4, 5], [0, 4, 3]))
    for chosen in (elect((left, right)), without_core(elect, (left, right))):
        assert list(map(list, chosen)) == [[0, 0, 0, 0, 4, 5], [0, 0, 0, 0, 4, 5]]


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


@many
@given(st.data())
def test_the_distance_that_most_pairs_have(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 8))

    def values() -> Values:
        objects = Objects()
        for _ in range(count):
            birth, value = data.draw(st.integers(NO_BIRTH, 1)), data.draw(st.sampled_from([0, 5, 6, 7, (1 << 64) - 1]))
            objects.add(birth, 0, value, is_range=data.draw(st.booleans()))
        return Values(objects, array("q", [3, 4]))

    chosen = array("I", data.draw(st.lists(st.integers(0, FIRST + count - 1), max_size=FIRST + count)))
    sides = values(), values()
    for is_range in (False, True):
        found = common_distance(chosen, *sides, is_range=is_range)
        assert found == without_core(lambda asked: common_distance(chosen, *sides, is_range=asked), is_range)


@pytest.mark.parametrize("native", [True, False])
def test_of_distances_with_as_many_pairs_the_first_one_counts(native: bool) -> None:
    one, other = Objects(), Objects()
    for value, another in ((5, 3), (6, 16), (7, 5), (8, 18)):
        one.add(0, 0, value)
        other.add(0, 0, another)
    keys, chosen = array("q", [1]), array("I", [0, 0, 0, 3, 4, 5, 6])

    def distance(is_range: bool) -> int:
        return common_distance(chosen, Values(one, keys), Values(other, keys), is_range=is_range)

    found = [distance(flag) if native else without_core(distance, flag) for flag in (False, True)]
    assert found == [(1 << 64) - 2, 0]


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
    for chosen, reason in ((b"\5\0\0\0", "no such object"), (bytes(20), "different lengths")):
        with pytest.raises(ValueError, match=reason):
            native.common_distance(chosen, values, values, False)
    with pytest.raises(ValueError, match="different lengths"):
        native.equal_values((*values[:2], bytes(3), values[3]), values, 0, False)
    for sides in (((*values[:3], b""), values), (values, (*values[:3], b""))):
        with pytest.raises(ValueError, match="no such call"):
            native.equal_values(*sides, 0, False)
