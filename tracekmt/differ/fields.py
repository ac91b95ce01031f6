"""Compares the decoded fields of one call on two sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from tracekmt.codec import Unreadable, flags_to_int, json_form
from tracekmt.differ.fast_path import same_spec
from tracekmt.findings import Finding, FindingKind
from tracekmt.spec.paths import find
from tracekmt.spec.types import Address, Bytes, CallSpec, Flags, Kind, Payload, RawWindow
from tracekmt.trace.call import BoundValue, TracedCall

_DRIVER_VALUE = "; only a driver can compute this value"

CompareBound = Callable[[BoundValue, Kind, Any, Any], Iterable[Finding]]
"""Compares two values of a kind. Arguments: the field on the first side, its kind, the values of both sides."""


class FieldComparison(NamedTuple):
    """Comparison of the fields of one call.

    Attributes:
        call: The call on the first side.
        other_index: Index of the call on the other side.
        compare_bound: Compares values that refer to objects.
        on_opaque: Receives the findings about bytes that cannot be compared, with the bytes of both sides.
        skipped: Direction of the fields that are not compared.
        same_addresses: Addresses of undescribed memory are the same on both sides. Otherwise they are null or not.
        sides: What follows the bytes of each side in messages.
        absent: What follows "absent" in messages about the first side.
        specs: Descriptions of the call on both sides, if they may differ.
    """

    call: TracedCall
    other_index: int
    compare_bound: CompareBound
    on_opaque: Callable[[Finding, bytes, bytes], object] | None = None
    skipped: Literal["in", "out"] = "in"
    same_addresses: bool = True
    sides: tuple[str, str] = ("recorded", "replayed")
    absent: str = "in the recording"
    specs: tuple[CallSpec, CallSpec] | None = None

    @property
    def field_kind(self) -> FindingKind:
        """Kind of the findings about plain values."""
        return "field" if self.skipped == "in" else "input"

    def fields(self, first: Sequence[BoundValue], second: Mapping[str, BoundValue]) -> Iterator[Finding]:
        """Yield the differences between the fields of two arguments.

        Args:
            first: Fields on the first side.
            second: Fields on the other side, by path.
        """
        for bound in first:
            if bound.field.direction == self.skipped:
                continue
            counterpart = second.get(bound.path)
            if counterpart is None and isinstance(bound.value, Unreadable):
                message = f"{bound.path} could not be recorded"
                yield self.finding("opaque", bound, ("unreadable", "readable"), message)
            elif counterpart is None:
                lacking = self._lacks_layout(1, bound)
                message = f"{bound.path} is absent{lacking}"
                yield self.finding("opaque" if lacking else self._data_kind, bound, ("present", "absent"), message)
            elif isinstance(bound.value, Unreadable) != isinstance(counterpart.value, Unreadable):
                pair = ("unreadable", "readable") if isinstance(bound.value, Unreadable) else ("readable", "unreadable")
                yield self.finding("opaque", bound, pair, f"{bound.path} is unreadable on one side")
            elif not isinstance(bound.value, Unreadable):
                yield from self._field(bound, bound.value, counterpart.value)
        if any(isinstance(bound.value, Unreadable) for bound in first):
            return
        paths = {bound.path for bound in first}
        for path, bound in second.items():
            if path not in paths and bound.field.direction != self.skipped and not isinstance(bound.value, Unreadable):
                lacking = self._lacks_layout(0, bound)
                message = f"{path} is absent {self.absent}{lacking}"
                yield self.finding("opaque" if lacking else self._data_kind, bound, ("absent", "present"), message)

    def _lacks_layout(self, side: int, bound: BoundValue) -> str:
        """Return the end of a message about a field that the layout of a side lacks. Empty if it has the field."""
        if self.specs is None or same_spec(*self.specs):
            return ""
        try:
            find(self.specs[side].argument, bound.pattern)
        except KeyError:
            return ", because builds of Windows have different layouts"
        return ""

    def bound_fields(self, first: Sequence[BoundValue], second: Mapping[str, BoundValue]) -> Iterator[Finding]:
        """Yield the differences between the bound values of two arguments that are equal otherwise."""
        for bound in first:
            other = second.get(bound.path)
            if bound.field.direction != self.skipped and bound.kind is not None and other is not None:
                yield from self.compare_bound(bound, bound.kind, bound.value, other.value)

    @property
    def _data_kind(self) -> FindingKind:
        return "data" if self.skipped == "in" else "input"

    def _field(self, bound: BoundValue, first: Any, second: Any) -> Iterator[Finding]:
        kind = bound.kind
        if kind is not None:
            yield from self.compare_bound(bound, kind, first, second)
        elif isinstance(bound.type, Flags):
            yield from self._bits(bound, bound.type, flags_to_int(bound.type, first), flags_to_int(bound.type, second))
        elif isinstance(first, bytes) or isinstance(second, bytes):
            if first != second:
                reason = _opaque_reason(bound)
                is_opaque = bool(reason)
                message = f"{bound.path} differs{self._first_difference(first, second)}{reason}"
                finding_kind: FindingKind = "opaque" if is_opaque else self._data_kind
                finding = self.finding(finding_kind, bound, (_size(first), _size(second)), message)
                if is_opaque and self.on_opaque is not None:
                    self.on_opaque(finding, first or b"", second or b"")
                else:
                    yield finding
        elif isinstance(bound.type, Address) and not self.same_addresses:
            if bool(first) != bool(second):
                yield self.number(bound, first, second)
        elif first != second:
            finding = self.number(bound, first, second)
            reason = _opaque_reason(bound)
            yield replace(finding, kind="opaque", message=f"{finding.message}{reason}") if reason else finding

    def number(self, bound: BoundValue, first: Any, second: Any) -> Finding:
        """Return the finding that a plain value differs."""
        pair = str(json_form(bound.type, first)), str(json_form(bound.type, second))
        return self.finding(self.field_kind, bound, pair, f"{bound.path} differs")

    def _bits(self, bound: BoundValue, flags: Flags, first: int, second: int) -> Iterator[Finding]:
        for bit in flags.in_effect(first):
            mask = flags.mask(bit.name)
            if (bit.direction or bound.field.direction) != self.skipped and first & mask != second & mask:
                bit_value = bound._replace(path=f"{bound.path}.{bit.name}", pattern=f"{bound.pattern}.{bit.name}")
                pair = str((first & mask) >> bit.position), str((second & mask) >> bit.position)
                message = f"{bit_value.path} differs{_DRIVER_VALUE if bit.opaque else ''}"
                yield self.finding("opaque" if bit.opaque else self.field_kind, bit_value, pair, message)

    def finding(self, kind: FindingKind, bound: BoundValue, pair: tuple[str, str], message: str) -> Finding:
        """Return a finding about one field."""
        return finding_at(self.call, self.other_index, kind, bound, pair, message)

    def _first_difference(self, first: bytes | None, second: bytes | None) -> str:
        if first is None or second is None:
            return ""
        for at, (a, b) in enumerate(zip(first, second, strict=False)):
            if a != b:
                values = [
                    f"{data[at : at + 8].hex()} {side}" for data, side in zip((first, second), self.sides, strict=True)
                ]
                return f" from byte {at} on: {', '.join(values)}"
        return " in length"


def finding_at(
    call: TracedCall, other_index: int, kind: FindingKind, bound: BoundValue, pair: tuple[str, str], message: str
) -> Finding:
    """Create a finding about one field of a call.

    Args:
        call: The recorded call.
        other_index: Index of the call on the other side.
        kind: Kind of the finding.
        bound: The field.
        pair: Recorded and replayed value as text.
        message: Explanation for users.
    """
    return Finding(
        kind=kind,
        call=call.name,
        index=call.index,
        other_index=other_index,
        thread=call.thread,
        recorded=pair[0],
        replayed=pair[1],
        message=message,
        path=bound.path,
        pattern=bound.pattern,
        handle_kind=bound.kind.name if bound.kind is not None and bound.kind.binding == "handle" else None,
    )


def _opaque_reason(bound: BoundValue) -> str:
    """Return why bytes cannot be compared, empty for bytes that can."""
    if isinstance(bound.type, RawWindow):
        return "; no description says what is there"
    is_opaque = isinstance(bound.type, Payload) or (isinstance(bound.type, Bytes) and bound.type.opaque)
    return _DRIVER_VALUE if is_opaque else ""


def _size(data: bytes | None) -> str:
    return "null" if data is None else f"{len(data)} bytes"
