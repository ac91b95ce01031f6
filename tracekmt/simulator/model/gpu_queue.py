"""Queues of GPU work: waits and signals of fences, in the order of their submission.

Commands take no time. A queue stops at a wait for a value that its fence has not reached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class Fence:
    """Value of a fence.

    Attributes:
        value: Value after the execution of all work that can be executed.
        reached: Value that the fence certainly has reached, by a signal or a finished wait of the CPU.
        highest: Highest value of any signal so far, executed or not.
        waiting: Queues that stopped at a wait for this fence.
        mappings: Writers of the value to memory of processes that may read it there.
    """

    def __init__(self, value: int) -> None:
        self.value = self.reached = self.highest = value
        self.waiting: list[GpuQueue] = []
        self.mappings: list[Callable[[int], None]] = []

    def set_value(self, value: int) -> None:
        """Set the value, and write it to memory."""
        self.value = value
        self.highest = max(self.highest, value)
        for write in self.mappings:
            write(value)


@dataclass(frozen=True)
class GpuOperation:
    """A wait for fence values, or a signal of fence values.

    Attributes:
        values: Fences, each with its value.
        is_wait: True for a wait.
    """

    values: Sequence[tuple[Fence, int]]
    is_wait: bool


class GpuQueue:
    """The operations that a context or a hardware queue has not executed."""

    def __init__(self) -> None:
        self.operations: deque[GpuOperation] = deque()

    def submit(self, operation: GpuOperation) -> None:
        """Append an operation, and execute what can be executed."""
        if not operation.is_wait:
            for fence, value in operation.values:
                fence.highest = max(fence.highest, value)
        self.operations.append(operation)
        if len(self.operations) == 1:
            run([self])

    def step(self) -> Sequence[Fence] | None:
        """Execute the next operation.

        Returns:
            The fences that it signalled. None if there is no operation, or its fences have not reached their values.
        """
        if not self.operations:
            return None
        operation = self.operations[0]
        if operation.is_wait:
            for fence, value in operation.values:
                if fence.value < value:
                    fence.waiting.append(self)
                    return None
            self.operations.popleft()
            return ()
        self.operations.popleft()
        for fence, value in operation.values:
            fence.set_value(max(fence.value, value))
        return [fence for fence, _ in operation.values]


def run(queues: list[GpuQueue]) -> None:
    """Execute the operations of queues, and of those that wait for what they signal."""
    while queues:
        queue = queues.pop()
        while (signalled := queue.step()) is not None:
            for fence in signalled:
                queues += fence.waiting
                fence.waiting = []


def signal(fence: Fence, value: int) -> None:
    """Set a fence from the CPU, and execute the operations that wait for it."""
    fence.reached = value
    fence.set_value(value)
    waiting, fence.waiting = fence.waiting, []
    run(waiting)


def reach(fence: Fence, value: int) -> None:
    """Note that a fence has reached a value, as a wait that returned proves."""
    if value > fence.value:
        signal(fence, value)
    fence.reached = max(fence.reached, value)
