"""The side that answers the calls of a recorded process instead of the hooked functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tracekmt.spec.types import Abi, CallSpec

NO_ANSWERS: dict[str, Any] = {"mailbox": None, "answers": {}}
"""Configuration of the agent for a process whose calls reach the functions."""


class Answerer(Protocol):
    """Answers the calls of one process."""

    @property
    def machine(self) -> dict[str, Any]:
        """Settings of the machine behind the answers, for the header of the trace."""
        ...

    @property
    def faults(self) -> Sequence[str]:
        """Failures that answers are marked with, by their number, for the header."""
        ...

    def open(self, pid: int, specs: Mapping[int, CallSpec], abi: Abi) -> dict[str, Any]:
        """Begin to answer a process, or the program that it executes now.

        Args:
            pid: Id of the process.
            specs: Descriptions of the hooked functions by id.
            abi: ABI of the process.

        Returns:
            The agent's configuration. `mailbox` is the location of the mailbox and of its heap, or None. `answers` has
            the address of code in the process, by the name of the function that it replaces.
        """
        ...

    def close(self) -> None:
        """Stop to answer. The process makes its further calls itself."""
        ...
