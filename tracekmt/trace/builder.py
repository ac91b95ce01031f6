"""Traces made by hand, for scenarios and tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tracekmt import codec, ntstatus
from tracekmt.errors import UsageError
from tracekmt.memory import Arena
from tracekmt.spec.types import ABIS, Call
from tracekmt.trace.events import Enter, Header, Leave
from tracekmt.trace.writer import Writer, now
from tracekmt.version import VERSION


class Builder:
    """A trace made by hand, one call after the other. `calls` are the descriptions to choose from."""

    def __init__(
        self,
        path: Path,
        calls: Mapping[str, Call],
        *,
        abi: str = "x64",
        force: bool = False,
        machine: Mapping[str, Any] | None = None,
    ) -> None:
        if abi not in ABIS:
            raise UsageError(f"{abi} is no ABI; give one of {', '.join(ABIS)}")
        self._calls = calls
        header = Header(abi, created=now(), tool=f"tracekmt {VERSION}", machine=dict(machine or {}))
        self._writer = Writer(path, header, force=force)
        self._numbers: dict[str, int] = {}
        self._sequence = 0
        self._time = 0

    def add(
        self,
        name: str,
        inputs: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        status: Any = 0,
        *,
        result: int | None = None,
        thread: int = 0,
        enter_ns: int | None = None,
        leave_ns: int | None = None,
    ) -> None:
        """Append one call: its argument before, what the call changed in it, and its status (None: it never
        returned). Fields that `outputs` leaves out stay as they were; of a function that gives no NTSTATUS `result` is
        what it gave. UsageError names what is wrong."""
        if self._writer.closed:
            raise UsageError(f"{self._writer.path}: is finished; nothing can be added to it")
        call = self._calls.get(name) if isinstance(name, str) else None
        if call is None:
            raise UsageError(f"{name} is not described; tracekmt calls lists the functions that are")
        for what, number in (("thread", thread), ("enter_ns", enter_ns), ("leave_ns", leave_ns)):
            if number is not None and not (isinstance(number, int) and 0 <= number < 1 << 63):
                raise UsageError(f"{name}: {what} is a number from 0 on, not {str(number)[:40]}")
        if not isinstance(thread, int):
            raise UsageError(f"{name}: thread is a number")
        if result is not None and call.returns != "BOOLEAN":
            raise UsageError(f"{name}: gives {'a status' if call.returns == 'NTSTATUS' else 'nothing'}, not a result")
        answer = None if status is None else result or int(ntstatus.status(status))
        arena = Arena(self._writer.layout)
        arguments = codec.encode(call, self._writer.layout, arena, inputs)
        before = arena.regions()
        if answer is not None and outputs is not None and arguments != (0,):
            given = codec.decode(call, self._writer.layout, arena, arguments)
            codec.encode(call, self._writer.layout, arena, _laid_over(given, outputs))
        number = self._number(call)
        enter = Enter(self._next(), thread, number, self._tick(enter_ns), 0, arguments, tuple(before))
        self._writer.events([enter], flush=False)
        if answer is not None:
            after = tuple(arena.regions())
            leave = Leave(self._next(), enter.sequence, self._tick(leave_ns), answer, after)
            self._writer.events([leave], flush=False)

    def close(self) -> None:
        """Finish the file; a second time does nothing."""
        if not self._writer.closed:
            self._writer.end("made by hand")
            self._writer.close()

    def __enter__(self) -> Builder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _number(self, call: Call) -> int:
        if call.name not in self._numbers:
            self._numbers[call.name] = len(self._numbers)
            self._writer.describe(self._numbers[call.name], call)
        return self._numbers[call.name]

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _tick(self, given: int | None) -> int:
        self._time = self._time + 1000 if given is None else given
        return self._time


def _laid_over(value: Any, change: Any) -> Any:
    """A value with the parts that `change` names replaced: dicts by key, lists of dicts by index."""
    if isinstance(value, Mapping) and isinstance(change, Mapping):
        return {**value, **{name: _laid_over(value.get(name), part) for name, part in change.items()}}
    if isinstance(value, list) and isinstance(change, (list, tuple)) and len(change) <= len(value):
        parts = [_laid_over(old, new) for old, new in zip(value, change, strict=False)]
        return parts + value[len(parts) :]
    return change
