"""Handles that undescribed functions may have created.

Nothing says where in its memory an undescribed function returns a handle. A word that such a call changed, and that a
later call uses as a handle, is taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tracekmt.codec import iter_values
from tracekmt.objects.identity import Bindings
from tracekmt.objects.lifetimes import is_live_value
from tracekmt.trace.events import Region
from tracekmt.trace.reader import TracedCall

_WORD = 4


class UnfollowedHandle(NamedTuple):
    """A handle that no described call created.

    Attributes:
        call: The call that uses it.
        path: Path of its field.
        value: The handle.
        kind: Name of the kind of its object.
        creator: The undescribed call that may have created it.
    """

    call: TracedCall
    path: str
    value: int
    kind: str
    creator: TracedCall

    def __str__(self) -> str:
        return (
            f"call {self.call.index} {self.path}: {self.kind} 0x{self.value:x} may come from the undescribed "
            f"{self.creator.name} (call {self.creator.index})"
        )


class UndescribedResults:
    """The words that undescribed calls changed, and the handles among them."""

    def __init__(self) -> None:
        self._creators: dict[int, TracedCall] = {}

    def on_leave(self, call: TracedCall) -> None:
        """Remember the words that a call changed, if it is undescribed."""
        if call.spec.raw and call.leave is not None:
            before = {(address, number): word for address, number, word in _words(call.enter.regions)}
            for address, number, word in _words(call.leave.regions):
                if word and before.get((address, number)) != word:
                    self._creators[word] = call

    def creator(self, handle: object) -> TracedCall | None:
        """Return the undescribed call that may have created a handle."""
        return self._creators.get(handle) if isinstance(handle, int) else None

    def unfollowed(self, call: TracedCall, bindings: Bindings) -> Iterator[UnfollowedHandle]:
        """Yield the handles of a call that only an undescribed call can have created."""
        if not self._creators:
            return
        for field_value in iter_values(call.spec.argument, call.inputs):
            kind = field_value.kind
            if kind is None or kind.binding != "handle" or field_value.field.direction == "out":
                continue
            creator = self.creator(field_value.value)
            if creator is not None and is_live_value(field_value) and bindings.find(kind, field_value.value) is None:
                yield UnfollowedHandle(call, field_value.path, field_value.value, kind.name, creator)


def _words(regions: tuple[Region, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield the words of regions: address of the region, number and value of the word."""
    for address, _, data in regions:
        for offset in range(0, len(data) - _WORD + 1, _WORD):
            yield address, offset, int.from_bytes(data[offset : offset + _WORD], "little")
