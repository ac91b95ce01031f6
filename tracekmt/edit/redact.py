"""Traces that can be shown around: names, paths and what only a driver understands are taken out.

What was text is the beginning of a hash in hexadecimal instead, of as many characters; what was data is a hash and
zeros, of as many bytes. Equal contents stay equal, lengths stay, handles and numbers stay. What no description covers
is zero.
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
from tracekmt.ntstatus import Status
from tracekmt.spec.types import Abi, CallSpec, Kind
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module, Region
from tracekmt.trace.handle_kinds import ambiguous_kinds, created_handles

REDACTED = "names, paths and private data"
"""What the header of a redacted trace says is missing."""

_HASH_SIZE = 16
_OWN_WORDS = re.compile(
    r"the process ended( with status \d+| by \w+)?|stopped(, [\w ,.]+)?; the process goes on"
    r"|made by hand|replayed|recovered|the end|the recording did not finish"
)
_ENCODING = {2: "utf-16-le", 4: "utf-32-le"}


def redacted_text(text: str) -> str:
    """What stands for a text: as many characters, the same for the same text."""
    digits = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_SIZE).hexdigest()
    return digits[: len(text)].ljust(len(text), ".")


def redacted_data(data: bytes) -> bytes:
    """What stands for data: as many bytes, the same for the same data. Zeros stay zeros."""
    if not any(data):
        return data
    return hashlib.blake2b(data, digest_size=_HASH_SIZE).digest()[: len(data)].ljust(len(data), b"\0")


def redacted_header(header: Header) -> Header:
    """A header without names and paths."""
    return replace(
        header,
        process=_without_text(header.process),
        settings=_without_text(header.settings, keep=("plan", "functions", "recording", "spool")),
        machine=_without_text(header.machine),
        trimmed=f"{header.trimmed.partition(' of ')[0]} of another trace" if header.trimmed else "",
        redacted=REDACTED,
    )


def redacted_module(module: Module) -> Module:
    """A module without its name and path."""
    return replace(module, name=redacted_text(module.name), path=redacted_text(module.path))


def redacted_end(said: str) -> str:
    """Words about how a recording ended: our own stay, which name nothing; others may name anything."""
    return said if _OWN_WORDS.fullmatch(said) else "damaged before it was redacted"


def _without_text(value: Any, keep: tuple[str, ...] = ()) -> Any:
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, dict):
        return {key: each if key in keep else _without_text(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_text(each) for each in value]
    return value


class Redactor:
    """Redacts the events of one trace, in their order. description: gives the description that events name by a
    number. under_way: calls that were entered before, by the sequence numbers of their events."""

    def __init__(
        self,
        abi: Abi,
        calls: Iterable[CallSpec],
        description: Callable[[int], CallSpec],
        under_way: Mapping[int, Enter] | None = None,
    ) -> None:
        self._abi = abi
        self._description = description
        self._entered: dict[int, Enter] = dict(under_way or {})
        self._kinds: dict[int, Kind | None] = {}
        self._several = ambiguous_kinds(calls)

    def events(self, events: Iterable[Enter | Leave | Lost]) -> Iterator[Enter | Leave | Lost]:
        """The same events without what is taken out."""
        for event in events:
            if isinstance(event, Enter):
                self._entered[event.sequence] = event
                yield replace(event, regions=self._regions(event, event.regions, None))
            elif isinstance(event, Leave):
                enter = self._entered.pop(event.enter)
                yield replace(event, regions=self._regions(enter, event.regions, Recorded(enter.regions)))
                self._learn(enter, event)
            else:
                yield event

    def _regions(self, enter: Enter, regions: tuple[Region, ...], before: Recorded | None) -> tuple[Region, ...]:
        call = self._description(enter.spec_id)
        return redacted_regions(call, self._abi, enter.arguments, regions, before, self._kinds.get)

    def _learn(self, enter: Enter, leave: Leave) -> None:
        """What sorts of objects a call made, which tells what later ones hold."""
        call = self._description(enter.spec_id)
        if call.creates and (call.returns != "NTSTATUS" or Status(leave.result & 0xFFFFFFFF).succeeded):
            before, after = Recorded(enter.regions), Recorded(leave.regions)
            inputs = codec.decode(call, self._abi, before, enter.arguments)
            outputs = codec.decode(call, self._abi, after, enter.arguments, before)
            self._kinds.update(created_handles(call, inputs, outputs, self._several))


def redacted_regions(
    call: CallSpec,
    abi: Abi,
    arguments: Sequence[int],
    regions: tuple[Region, ...],
    before: Recorded | None = None,
    kind_of: codec.KindOf | None = None,
) -> tuple[Region, ...]:
    """The memory of an event without what is taken out, zeros where nothing is described; see `decode`."""
    memory = Recorded(regions)
    found = spans(call, abi, memory, arguments, before, kind_of)
    kept = [bytearray(len(data)) for _, _, data in regions]
    # Values last: what is a value by one description stays one, although another calls the same memory data.
    for span in sorted(found, key=lambda span: span.sort == "value"):
        content = _there(memory, span)
        if span.sort == "text":
            content = _redacted_units(content, span)
        elif span.sort == "data":
            content = redacted_data(content)
        for (address, _, data), rest in zip(regions, kept, strict=True):
            start, end = max(span.address, address), min(span.address + len(content), address + len(data))
            if start < end:
                rest[start - address : end - address] = content[start - span.address : end - span.address]
    pairs = zip(regions, kept, strict=True)
    return tuple((address, wanted, bytes(rest)) for (address, wanted, _), rest in pairs)


def _there(memory: Recorded, span: Span) -> bytes:
    """As much of a span as was recorded."""
    try:
        return memory.read(span.address, span.size)
    except MemoryFault as fault:
        return fault.data


def _redacted_units(content: bytes, span: Span) -> bytes:
    """Text in memory, up to its end. A character of two units has two digits."""
    size = span.unit
    units = [content[at : at + size] for at in range(0, len(content) - size + 1, size)]
    if not span.counted and bytes(size) in units:
        units = units[: units.index(bytes(size))]
    text = b"".join(units).decode(_ENCODING[size], "surrogatepass" if size == 2 else "replace")
    return redacted_text(text).ljust(len(units), ".").encode(_ENCODING[size])
