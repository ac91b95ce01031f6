"""The file in which a program offers its functions to a recorder, instead of exporting them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tracekmt.errors import RecordError

TABLE_SECONDS = 30.0
"""Time limit for the target process to write its table."""

POLL_SECONDS = 0.01


class OfferedFunctions(NamedTuple):
    """Content of a table.

    Attributes:
        functions: Address of each function in the target process, as "0x...".
        machine: Settings of the program's simulator, empty without one. A replay uses them.
    """

    functions: dict[str, str]
    machine: dict[str, Any]


class HandOver:
    """Exchange of function addresses between a program and its recorder.

    The program writes the table {"functions": {name: "0x..."}, "machine": {...}}. It may then wait for `PATH.hooked`,
    which the recorder creates when its hooks are in place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hooked = path.with_name(path.name + ".hooked")

    def offer(self, addresses: Mapping[str, int], machine: Mapping[str, Any]) -> None:
        """Write the table atomically: a reader never sees a part of it.

        Args:
            addresses: Address of each function in this process.
            machine: Settings of the simulator behind the functions.
        """
        table = {
            "functions": {name: f"0x{address:x}" for name, address in addresses.items()},
            "machine": dict(machine),
        }
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text(json.dumps(table), "utf-8")
        partial.replace(self.path)

    def wait(self, seconds: float) -> bool:
        """Wait until a recorder has placed its hooks. Return False if the time limit passes first."""
        deadline = time.monotonic() + seconds
        while not self.hooked.exists():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def await_table(self, is_attached: Callable[[], bool]) -> OfferedFunctions:
        """Wait for the program's table and read it.

        Args:
            is_attached: False once the target process has ended.

        Raises:
            RecordError: The process ended or the time passed without a table, or the table is invalid.
        """
        deadline = time.monotonic() + TABLE_SECONDS
        while not self.path.exists():
            if not is_attached():
                raise RecordError(f"the process ended before it wrote its functions to {self.path}")
            if time.monotonic() > deadline:
                raise RecordError(
                    f"the process did not write its functions to {self.path} within {TABLE_SECONDS:g} seconds"
                )
            time.sleep(POLL_SECONDS)
        try:
            table = json.loads(self.path.read_text("utf-8"))
            return OfferedFunctions(dict(table["functions"]), dict(table.get("machine", {})))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RecordError(
                f"invalid table of functions: {self.path} ({type(error).__name__}; expected "
                '{"functions": {NAME: "0x..."}, "machine": {...}})'
            ) from None
