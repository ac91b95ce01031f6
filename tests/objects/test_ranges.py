"""Recorded ranges against a plain list."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.strategies import examples
from tracekmt.calls.kinds import GPU_ADDRESS
from tracekmt.objects.identity import Identity, RangeMap

NUMBERS = st.integers(0, 40)


class Ranges(RuleBasedStateMachine):
    """A search finds, of the ranges that contain an address, the one that starts last and is the newest there."""

    def __init__(self) -> None:
        super().__init__()
        self.map = RangeMap()
        self.live: list[Identity] = []

    @rule(start=NUMBERS, size=st.integers(0, 20))
    def bind(self, start: int, size: int) -> None:
        identity = Identity(GPU_ADDRESS, start, len(self.live), "VirtualAddress", start, size=size)
        self.map.bind(identity)
        self.live.append(identity)

    @rule(index=NUMBERS)
    def destroy(self, index: int) -> None:
        if index < len(self.live):
            self.map.destroy(self.live.pop(index), 0)

    @rule(address=NUMBERS)
    def free(self, address: int) -> None:
        size = max((each.size for each in self.live if each.recorded == address), default=0)
        freed = self.map.find_freed(GPU_ADDRESS, address)
        starts = range(address, address + max(size, 1))
        inside = [each for each in self.live if each.recorded in starts and each.recorded + each.size <= address + size]
        assert set(freed) == set(inside)
        for identity in freed:
            self.map.destroy(identity, 0)
            self.live.remove(identity)

    @invariant()
    def every_address_is_found(self) -> None:
        assert set(self.map.live_objects()) == set(self.live)
        for address in range(64):
            containing = [
                (each.recorded, number, each)
                for number, each in enumerate(self.live)
                if each.recorded <= address < each.recorded + max(each.size, 1)
            ]
            expected = max(containing, key=lambda found: found[:2])[2] if containing else None
            assert self.map.find(GPU_ADDRESS, address) is expected


TestRanges = Ranges.TestCase
TestRanges.settings = settings(max_examples=examples(80), stateful_step_count=30, deadline=None)
