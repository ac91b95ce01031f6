"""Queues of GPU work against a plain model, which executes the operations of all queues again and again."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.strategies import examples
from tracekmt.simulator.model.gpu_queue import Fence, GpuOperation, GpuQueue, reach, signal

COUNT = 3
NUMBERS = st.integers(0, COUNT - 1)
VALUES = st.integers(0, 6)


class Queues(RuleBasedStateMachine):
    """Every queue stops at the first wait whose fence has not reached its value."""

    def __init__(self) -> None:
        super().__init__()
        self.fences = [Fence(0) for _ in range(COUNT)]
        self.queues = [GpuQueue() for _ in range(COUNT)]
        self.values = [0] * COUNT
        self.operations: list[list[tuple[bool, int, int]]] = [[] for _ in range(COUNT)]

    def _execute(self) -> None:
        progress = True
        while progress:
            progress = False
            for operations in self.operations:
                if not operations:
                    continue
                is_wait, fence, value = operations[0]
                if is_wait and self.values[fence] < value:
                    continue
                if not is_wait:
                    self.values[fence] = max(self.values[fence], value)
                del operations[0]
                progress = True

    @rule(queue=NUMBERS, fence=NUMBERS, value=VALUES, is_wait=st.booleans())
    def submit(self, queue: int, fence: int, value: int, is_wait: bool) -> None:
        self.queues[queue].submit(GpuOperation([(self.fences[fence], value)], is_wait=is_wait))
        self.operations[queue].append((is_wait, fence, value))
        self._execute()

    @rule(fence=NUMBERS, value=VALUES)
    def signal_from_cpu(self, fence: int, value: int) -> None:
        value = max(value, self.values[fence])
        signal(self.fences[fence], value)
        self.values[fence] = value
        self._execute()

    @rule(fence=NUMBERS, value=VALUES)
    def return_from_wait(self, fence: int, value: int) -> None:
        reach(self.fences[fence], value)
        self.values[fence] = max(self.values[fence], value)
        self._execute()

    @invariant()
    def fences_have_the_values_of_the_model(self) -> None:
        assert [fence.value for fence in self.fences] == self.values
        assert [len(queue.operations) for queue in self.queues] == [len(each) for each in self.operations]
        assert all(fence.reached <= fence.value <= fence.highest for fence in self.fences)


TestQueues = Queues.TestCase
TestQueues.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)


def test_a_value_is_written_to_memory() -> None:
    fence = Fence(1)
    written: list[int] = []
    fence.mappings.append(written.append)
    queue = GpuQueue()
    queue.submit(GpuOperation([(fence, 2)], is_wait=True))
    queue.submit(GpuOperation([(fence, 5)], is_wait=False))
    assert written == []
    signal(fence, 3)
    assert written == [3, 5]
