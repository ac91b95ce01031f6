"""Address spaces against a plain model: a set of pages."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.strategies import examples
from tracekmt.simulator.model.address_space import SPACE_END, AddressSpace

UNIT = 0x1000
LIMIT = 64
"""Pages of the small space, so that ranges meet."""

PAGES = st.integers(0, LIMIT - 1)
COUNTS = st.integers(1, 8)


class PageSet(RuleBasedStateMachine):
    """Ranges of an address space are as large as the pages of the model, and never overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.space = AddressSpace()
        self.owner: dict[int, int] = {}
        self.number = 0

    def _use(self, page: int, count: int) -> None:
        self.number += 1
        self.owner.update(dict.fromkeys(range(page, page + count), self.number))
        self.space.add(page * UNIT, count * UNIT, is_reserved=True, is_chosen=False)

    @rule(page=PAGES, count=COUNTS)
    def ask(self, page: int, count: int) -> None:
        used = {self.owner[each] for each in range(page, page + count) if each in self.owner}
        assert len(self.space.overlapping(page * UNIT, (page + count) * UNIT)) == len(used)
        if not used:
            self._use(page, count)

    @rule(first=PAGES, pages=COUNTS, count=COUNTS)
    def choose(self, first: int, pages: int, count: int) -> None:
        end = first + pages + count
        chosen = self.space.choose(count * UNIT, max(first, 1) * UNIT, end * UNIT, UNIT)
        free = [
            page for page in range(max(first, 1), end - count + 1) if not self.owner.keys() & range(page, page + count)
        ]
        assert (chosen is None) == (not free)
        if chosen is not None:
            assert chosen // UNIT in free
            self._use(chosen // UNIT, count)

    @rule(page=PAGES, count=COUNTS)
    def remove(self, page: int, count: int) -> None:
        self.space.remove(page * UNIT, (page + count) * UNIT)
        middle = [each for each in range(page, page + count) if each in self.owner]
        owners = {self.owner.pop(each) for each in middle}
        for owner in owners:  # what is behind the removed part is a range now
            self.number += 1
            behind = [each for each, its in self.owner.items() if its == owner and each >= page + count]
            self.owner.update(dict.fromkeys(behind, self.number))

    @rule(page=PAGES)
    def discard(self, page: int) -> None:
        range_ = self.space.containing(page * UNIT, (page + 1) * UNIT)
        assert (range_ is None) == (page not in self.owner)
        if range_ is not None:
            self.space.discard(range_)
            self.space.discard(range_)
            its = self.owner[page]
            self.owner = {each: owner for each, owner in self.owner.items() if owner != its}

    @invariant()
    def ranges_are_those_of_the_model(self) -> None:
        ranges = self.space.overlapping(0, SPACE_END)
        assert len(ranges) == len(self.space) == len(set(self.owner.values()))
        assert sum(each.end - each.start for each in ranges) == len(self.owner) * UNIT
        assert all(left.end <= right.start for left, right in pairwise(ranges))


TestPageSet = PageSet.TestCase
TestPageSet.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)


def test_chosen_addresses_do_not_look_like_32_bit_numbers() -> None:
    space = AddressSpace()
    addresses = [space.choose(UNIT, 0, 0, 0x10000) for _ in range(3)]
    assert addresses == [1 << 32, (1 << 32) + 0x10000, (1 << 32) + 0x20000]
    assert space.choose(UNIT, 0, 0x20000, 0x10000) == 0x10000
    assert space.choose(SPACE_END, 0, 0, 0x10000) is None
