"""Columns of the calls of a trace while they are read, in memory that the core writes too."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from tracekmt.differ.columns import CallObjects

COLUMNS = {
    "indexes": "Q",
    "threads": "I",
    "weak": "q",
    "plain": "q",
    "contents": "q",
    "outcome": "q",
    "offsets": "q",
    "is_exact": "B",
    "functions": "I",
    "callers": "I",
    "states": "B",
    "input_starts": "q",
    "input_counts": "I",
    "output_starts": "q",
    "output_counts": "I",
}
"""Columns of the calls with their type codes, in the order of `tracekmt/core/history.h`."""


class CallColumns:
    """Columns of calls while they are read: memory with a place for each call, and the objects of all calls."""

    def __init__(self) -> None:
        self.memory = {name: bytearray() for name in COLUMNS}
        # The objects of the inputs and outputs of all calls. Outputs that equal the inputs are the same objects.
        self.references = bytearray()
        self._views: dict[str, memoryview[int]] = {}
        self.grow(0)

    def grow(self, count: int) -> None:
        """Add places for calls."""
        for view in self._views.values():
            view.release()
        for name, code in COLUMNS.items():
            self.memory[name] += bytes(count * array(code).itemsize)
            self._views[name] = memoryview(self.memory[name]).cast(code)  # type: ignore[call-overload]
        views = self._views
        self.indexes, self.threads = views["indexes"], views["threads"]
        self.weak, self.plain, self.contents = views["weak"], views["plain"], views["contents"]
        self.outcome, self.offsets = views["outcome"], views["offsets"]
        self.is_exact, self.states = views["is_exact"], views["states"]
        self.functions, self.callers = views["functions"], views["callers"]
        self.input_starts, self.input_counts = views["input_starts"], views["input_counts"]
        self.output_starts, self.output_counts = views["output_starts"], views["output_counts"]

    def set_inputs(self, position: int, numbers: Sequence[int]) -> None:
        """Set the objects of the inputs of a call."""
        self.input_starts[position], self.input_counts[position] = len(self.references) >> 2, len(numbers)
        self.references += array("I", numbers).tobytes()

    def set_outputs(self, position: int, numbers: Sequence[int]) -> None:
        """Set the objects of the outputs of a call."""
        self.output_starts[position], self.output_counts[position] = len(self.references) >> 2, len(numbers)
        self.references += array("I", numbers).tobytes()

    def inputs_of(self, position: int) -> array[int]:
        """Return the objects of the inputs of a call."""
        start = self.input_starts[position]
        return _array("I", self.references[4 * start : 4 * (start + self.input_counts[position])])

    def take(self, name: str) -> array[int]:
        """Return a column as an array, and free its memory."""
        self._views.pop(name).release()
        return _array(COLUMNS[name], self.memory.pop(name))

    def objects(self, name: str) -> CallObjects:
        """Return the objects of "input" or "output" values."""
        return CallObjects(self.references, self.memory[f"{name}_starts"], self.memory[f"{name}_counts"])


def _array(code: str, memory: bytes | bytearray) -> array[int]:
    numbers = array(code)
    numbers.frombytes(memory)
    return numbers
