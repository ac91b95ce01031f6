"""A structure on its way between bytes and values: what its conditions and lengths are read from."""

from __future__ import annotations

from tracekmt.spec.layout import Layout, Slot
from tracekmt.spec.types import Flags, Overlay, When


class Frame:
    """A structure being decoded or encoded: its bytes, those that it had when the call was entered, and the
    structure that led to it."""

    __slots__ = ("before", "data", "layout", "outer")

    def __init__(self, layout: Layout, data: bytes, before: bytes, outer: Frame | None) -> None:
        self.layout = layout
        self.data = data
        self.before = before
        self.outer = outer

    def holds(self, when: When) -> bool:
        """Whether a condition is true of what the call was entered with."""
        frame = self.outer if when.up else self
        assert frame is not None
        name, _, bit = when.path.partition(".")
        slot = frame.layout.slot(name)
        value = int.from_bytes(frame.before[slot.offset : slot.offset + slot.size], "little")
        if bit:
            assert isinstance(slot.field.type, Flags)
            value &= slot.field.type.mask(bit)
        return (value == when.equals if when.equals is not None else value != 0) == when.holds

    def count(self, name: str) -> tuple[int, int]:
        """What a length field said at enter, and says now."""
        slot = self.layout.slot(name)
        end = slot.offset + slot.size
        return (
            int.from_bytes(self.before[slot.offset : end], "little"),
            int.from_bytes(self.data[slot.offset : end], "little"),
        )

    def arm(self, overlay: Overlay, arms: tuple[str, ...]) -> str:
        """The name of the arm in effect."""
        for field in overlay.arms:
            if field.name in arms if overlay.by_call else field.when is None or self.holds(field.when):
                return field.name
        raise AssertionError("checked: every union has an arm in effect")


def in_effect(layout: Layout, frame: Frame, arms: tuple[str, ...]) -> list[Slot]:
    """The fields of a structure without the arms that are not in effect."""
    return [slot for slot in layout.slots if slot.overlay is None or frame.arm(slot.overlay, arms) == slot.field.name]
