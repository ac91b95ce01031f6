"""Bytes to values. Decoding never fails: memory that is not there becomes `Unreadable`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracekmt.codec.context import KindOf
from tracekmt.codec.memory import Memory
from tracekmt.codec.parameters import parameter_block
from tracekmt.codec.readers import Source, struct_reader
from tracekmt.codec.values import Unreadable
from tracekmt.spec.layout import lay_out
from tracekmt.spec.types import (
    Abi,
    Bytes,
    CallSpec,
    Payload,
    Pointer,
    RawWindow,
    Type,
    VariableRecords,
    WString,
)


def decode(
    call: CallSpec,
    abi: Abi,
    memory: Memory,
    arguments: Sequence[int],
    before: Memory | None = None,
    kind_of: KindOf | None = None,
) -> dict[str, Any] | Unreadable | None:
    """What a call was given, as values: the structure that its one parameter points to (None for NULL), or its
    parameters by name.

    before: the memory as the call was entered with, where `memory` is how it left it. What a count or a union's arm
    is then comes from there: of an array as many elements as both say, of a byte buffer its whole capacity; parameters
    that were passed by value are left out. kind_of: tells what a handle leads to, where a union depends on that.
    """
    read = struct_reader(lay_out(call.argument, abi), call.union_arms)
    source = Source(abi, memory, before, kind_of)
    if call.argument.parameters:
        data = parameter_block(read.layout, arguments)
        values = read(data, data, None, source)
        if before is None:
            return values
        return {name: value for name, value in values.items() if _leads_on(call.argument.field(name).type)}
    address = arguments[0] if arguments else 0
    return read.at(address, address, None, source) if address else None


def _leads_on(type_: Type) -> bool:
    return isinstance(type_, (Pointer, Bytes, WString, RawWindow, Payload, VariableRecords))
