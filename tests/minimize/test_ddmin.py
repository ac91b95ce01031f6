"""Delta debugging: the result has the property, is small, and takes few tries."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tracekmt.minimize.ddmin import ddmin


@settings(deadline=None)
@given(
    st.integers(1, 200).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), max_size=6)))
)
def test_exactly_the_needed_items_are_left(case: tuple[int, set[int]]) -> None:
    size, needed = case
    assert set(ddmin(range(size), lambda items: needed <= set(items))) == needed


@settings(deadline=None)
@given(st.integers(1, 60), st.randoms(use_true_random=False))
def test_any_property_holds_for_the_result(size: int, chance: object) -> None:
    """The property need not be monotonic: here it is that of a random set of subsets."""
    holding: dict[tuple[int, ...], bool] = {tuple(range(size)): True}

    def holds(items: list[int]) -> bool:
        return holding.setdefault(tuple(items), chance.random() < 0.3)  # type: ignore[attr-defined]

    assert holding[tuple(ddmin(range(size), holds))]


def test_one_item_of_many_takes_few_tries() -> None:
    tries = []

    def holds(items: list[int]) -> bool:
        tries.append(items)
        return 777 in items

    assert ddmin(range(10_000), holds) == [777]
    assert len(tries) < 60
