"""Redaction of traces: removes names, paths and data that only a driver understands.

A hash replaces removed contents. Text becomes hexadecimal digits of the same length. Data becomes a hash and zeros of
the same length. Equal contents stay equal. Lengths, handles and numbers do not change. Undescribed memory becomes
zeros.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tracekmt import codec
from tracekmt.codec.memory import MemoryFault, Recorded
from tracekmt.codec.regions import Span, spans
from tracekmt.codec.wchars import decode_wchars
from tracekmt.ntstatus import Status
from tracekmt.spec.types import Abi, CallSpec, Kind
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module, Region
from tracekmt.trace.handle_kinds import ambiguous_kinds, handles_of_values

REDACTED = "names, paths and private data"
"""Removed contents, for the header of a redacted trace."""

_HASH_SIZE = 16
# Texts about the end of a recording that tracekmt writes itself. They have no names.
_KNOWN_TEXTS = re.compile(
    r"the process ended( with status \d+| by \w+)?|stopped(, [\w ,.]+)?; the process goes on"
    r"|made by hand|replayed|recovered|the end|the recording did not finish"
)
_ENCODING = {2: "utf-16-le", 4: "utf-32-le"}


def redacted_text(text: str) -> str:
    """Return a replacement of the same length. Equal texts have equal replacements."""
    digits = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_SIZE).hexdigest()
    return digits[: len(text)].ljust(len(text), ".")


def redacted_data(data: bytes) -> bytes:
    """Return a replacement of the same length. Equal data have equal replacements. Zeros stay zeros."""
    if not any(data):
        return data
    return hashlib.blake2b(data, digest_size=_HASH_SIZE).digest()[: len(data)].ljust(len(data), b"\0")


def redacted_header(header: Header) -> Header:
    """Return a header without names and paths."""
    return replace(
        header,
        process=_without_text(header.process),
        settings=_without_text(
            header.settings, keep=("plan", "functions", "inject", "recording", "recorded_by", "spool")
        ),
        machine=_without_text(header.machine),
        trimmed=f"{header.trimmed.partition(' of ')[0]} of another trace" if header.trimmed else "",
        redacted=REDACTED,
    )


def redacted_module(module: Module) -> Module:
    """Return a module without its name and path."""
    return replace(module, name=redacted_text(module.name), path=redacted_text(module.path))


def redacted_end(text: str) -> str:
    """Return a text about the end of a recording. A text that may have names is replaced."""
    return text if _KNOWN_TEXTS.fullmatch(text) else "damaged before it was redacted"


def _without_text(value: Any, keep: tuple[str, ...] = ()) -> Any:
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, dict):
        return {key: item if key in keep else _without_text(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_text(item) for item in value]
    return value


class Redactor:
    """Redacts the events of one trace in order.

    Args:
        abi: ABI of the recorded process.
        specs: Descriptions of the trace.
        get_spec: Returns a description by the id that events use.
        in_flight: Earlier enter events without leave events, by sequence number.
    """

    def __init__(
        self,
        abi: Abi,
        specs: Iterable[CallSpec],
        get_spec: Callable[[int], CallSpec],
        in_flight: Mapping[int, Enter] | None = None,
    ) -> None:
        self._abi = abi
        self._get_spec = get_spec
        self._in_flight: dict[int, Enter] = dict(in_flight or {})
        self._kinds: dict[int, Kind | None] = {}
        self._ambiguous = ambiguous_kinds(specs)

    def events(self, events: Iterable[Enter | Leave | Lost]) -> Iterator[Enter | Leave | Lost]:
        """Yield redacted events."""
        for event in events:
            if isinstance(event, Enter):
                self._in_flight[event.sequence] = event
                yield replace(event, regions=self._regions(event, event.regions, None))
            elif isinstance(event, Leave):
                enter = self._in_flight.pop(event.enter)
                yield replace(event, regions=self._regions(enter, event.regions, Recorded(enter.regions)))
                self._add_created_handles(enter, event)
            else:
                yield event

    def _regions(self, enter: Enter, regions: tuple[Region, ...], before: Recorded | None) -> tuple[Region, ...]:
        spec = self._get_spec(enter.spec_id)
        return redacted_regions(spec, self._abi, enter.arguments, regions, before, self._kinds.get)

    def _add_created_handles(self, enter: Enter, leave: Leave) -> None:
        """Add the kinds of the handles that a call created. The form of later calls depends on them."""
        spec = self._get_spec(enter.spec_id)
        if spec.creates and (spec.returns != "NTSTATUS" or Status(leave.result & 0xFFFFFFFF).succeeded):
            before, after = Recorded(enter.regions), Recorded(leave.regions)
            inputs = codec.decode(spec, self._abi, before, enter.arguments)
            outputs = codec.decode(spec, self._abi, after, enter.arguments, before)
            self._kinds.update(handles_of_values(spec, inputs, outputs, self._ambiguous))


def redacted_regions(
    spec: CallSpec,
    abi: Abi,
    arguments: Sequence[int],
    regions: tuple[Region, ...],
    before: Recorded | None = None,
    kind_of: codec.KindOf | None = None,
) -> tuple[Region, ...]:
    """Return the redacted memory of an event. Undescribed memory becomes zeros.

    Args:
        spec: Description of the call.
        abi: ABI of the recorded process.
        arguments: Raw parameters.
        regions: Memory of the event.
        before: Memory of the enter event, for a leave event.
        kind_of: Returns the kind of the object behind a handle.
    """
    memory = Recorded(regions)
    redacted = [bytearray(len(data)) for _, _, data in regions]
    # Values come last. Memory that one description has as a value stays a value if another one has it as data.
    for span in sorted(spans(spec, abi, memory, arguments, before, kind_of), key=lambda span: span.sort == "value"):
        content = _recorded_part(memory, span)
        if span.sort == "text":
            content = _redacted_wchars(content, span)
        elif span.sort == "data":
            content = redacted_data(content)
        for (address, _, data), target in zip(regions, redacted, strict=True):
            start, end = max(span.address, address), min(span.address + len(content), address + len(data))
            if start < end:
                target[start - address : end - address] = content[start - span.address : end - span.address]
    pairs = zip(regions, redacted, strict=True)
    return tuple((address, requested, bytes(data)) for (address, requested, _), data in pairs)


def _recorded_part(memory: Recorded, span: Span) -> bytes:
    """Return the recorded bytes at the start of a span."""
    try:
        return memory.read(span.address, span.size)
    except MemoryFault as fault:
        return fault.data


def _redacted_wchars(content: bytes, span: Span) -> bytes:
    """Return redacted text of the same number of units. A character of two units becomes two digits."""
    size = span.unit
    units = [content[offset : offset + size] for offset in range(0, len(content) - size + 1, size)]
    if not span.counted and bytes(size) in units:
        units = units[: units.index(bytes(size))]
    return redacted_text(decode_wchars(b"".join(units), size)).ljust(len(units), ".").encode(_ENCODING[size])
