"""Values that change during a recording: each holds from one call on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from tracekmt.codec.parse_value import short_repr
from tracekmt.errors import UsageError

T = TypeVar("T")


class Timeline(Generic[T]):
    """A value over the calls of a recording.

    Args:
        entries: Pairs of a call index and the value from that call on, in order. The first value also holds before.
    """

    def __init__(self, entries: Sequence[tuple[int, T]]) -> None:
        self._calls = [call for call, _ in entries]
        self._values = [value for _, value in entries]

    def at(self, call: int) -> T:
        """Return the value at a call."""
        return self._values[max(bisect_right(self._calls, call) - 1, 0)]

    def entries(self) -> list[tuple[int, T]]:
        """Return the pairs that the timeline was created from."""
        return list(zip(self._calls, self._values, strict=True))

    def to_setting(self) -> Any:
        """Return the setting that `parse_timeline` creates an equal timeline from."""
        return self._values[0] if len(self._values) == 1 else [list(entry) for entry in self.entries()]


def parse_uint(setting: Any, bits: int = 32) -> int:
    """Return an unsigned number. Raise TypeError or ValueError for anything else."""
    if type(setting) is not int:
        raise TypeError
    if not 0 <= setting < 1 << bits:
        raise ValueError
    return setting


def constant(value: T) -> Timeline[T]:
    """Return a value that never changes."""
    return Timeline([(0, value)])


def parse_timeline(name: str, setting: Any, parse: Callable[[Any], T]) -> Timeline[T]:
    """Create a timeline from a setting.

    Args:
        name: Name of the setting, for errors.
        setting: A value, or a list of [call, value] with rising calls.
        parse: Returns the value of its setting. It raises ValueError or TypeError for an invalid one.

    Raises:
        UsageError: The setting has another form.
    """
    rows = setting if isinstance(setting, list) else [[0, setting]]
    try:
        entries = [(parse_uint(call, 64), parse(value)) for call, value in rows]
        calls = [call for call, _ in entries]
        if not entries or calls != sorted(set(calls)):
            raise ValueError
    except (TypeError, ValueError):
        raise UsageError(
            f"invalid {name}: {short_repr(setting)} (expected a value, or a list of [call, value])"
        ) from None
    return Timeline(entries)


def compress(entries: Sequence[tuple[int, T]]) -> list[tuple[int, T]]:
    """Return the entries whose value differs from that of the entry before."""
    kept: list[tuple[int, T]] = []
    for call, value in entries:
        if not kept or kept[-1][1] != value:
            kept.append((call, value))
    return kept
