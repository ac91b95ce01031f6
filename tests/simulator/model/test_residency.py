"""Residency counts and budgets against plain counters."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.simulator.machine import new_caller
from tests.strategies import examples
from tracekmt.simulator.model.allocation_size import sample_data

MB = 1 << 20
BUDGET = 8
INDEXES = st.lists(st.integers(0, 5), max_size=4)


class Residency(RuleBasedStateMachine):
    """The resident memory is that of the allocations with a count, and never above the budget."""

    def __init__(self) -> None:
        super().__init__()
        self.caller = new_caller(video_memory=BUDGET * MB)
        self.queue = self.caller.outputs("CreatePagingQueue", hDevice=self.caller.device)["hPagingQueue"]
        self.live: list[tuple[int, int]] = []
        self.counts: dict[int, int] = {}

    def _used(self, counts: dict[int, int]) -> int:
        return sum(size for handle, size in self.live if counts[handle])

    def _handles(self, indexes: list[int]) -> list[int]:
        return [self.live[index][0] for index in indexes if index < len(self.live)]

    @rule(size=st.integers(1, 4))
    def create(self, size: int) -> None:
        element = {"pPrivateDriverData": sample_data(size * MB)}
        created = self.caller.outputs("CreateAllocation2", hDevice=self.caller.device, pAllocationInfo2=[element])
        handle = created["pAllocationInfo2"][0]["hAllocation"]
        self.live.append((handle, size))
        self.counts[handle] = 0

    @rule(indexes=INDEXES)
    def make_resident(self, indexes: list[int]) -> None:
        handles = self._handles(indexes)
        counts = dict(self.counts)
        for handle in handles:
            counts[handle] += 1
        over = self._used(counts) - BUDGET
        result = self.caller("MakeResident", hPagingQueue=self.queue, AllocationList=handles)
        assert result.status.name == ("STATUS_NO_MEMORY" if over > 0 else "STATUS_SUCCESS")
        assert result.outputs["NumBytesToTrim"] == max(over, 0) * MB
        if over <= 0:
            self.counts = counts

    @rule(indexes=INDEXES)
    def evict(self, indexes: list[int]) -> None:
        handles = self._handles(indexes)
        self.caller.outputs("Evict", hDevice=self.caller.device, AllocationList=handles)
        for handle in handles:
            self.counts[handle] = max(self.counts[handle] - 1, 0)

    @rule(index=st.integers(0, 5))
    def destroy(self, index: int) -> None:
        for handle in self._handles([index]):
            self.caller.outputs("DestroyAllocation2", hDevice=self.caller.device, phAllocationList=[handle])
            self.live = [pair for pair in self.live if pair[0] != handle]

    @invariant()
    def memory_is_that_of_the_model(self) -> None:
        used = self._used(self.counts) * MB
        assert self.caller.simulator.machine.adapters[0].resident_video_memory == used <= BUDGET * MB
        query = self.caller.outputs("QueryVideoMemoryInfo", hAdapter=self.caller.adapter, MemorySegmentGroup=0)
        assert query["CurrentUsage"] == used


TestResidency = Residency.TestCase
TestResidency.settings = settings(max_examples=examples(40), stateful_step_count=30, deadline=None)
