"""Decoding: bytes to values. It never fails on missing memory, which becomes `Unreadable`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracekmt.codec.context import KindOf
from tracekmt.codec.memory import Memory
from tracekmt.codec.parameters import parameter_block
from tracekmt.codec.readers import Source, struct_reader
from tracekmt.codec.values import Unreadable
from tracekmt.spec.layout import lay_out
from tracekmt.spec.types import Abi, CallSpec, is_described_pointer


def decode(
    spec: CallSpec,
    abi: Abi,
    memory: Memory,
    arguments: Sequence[int],
    before: Memory | None = None,
    kind_of: KindOf | None = None,
) -> dict[str, Any] | Unreadable | None:
    """Decode the argument of a call.

    Args:
        spec: Description of the function.
        abi: ABI of the process that made the call.
        memory: Memory to decode: at enter, or at return if `before` is given.
        arguments: The raw arguments of the call.
        before: Memory at enter, if `memory` is that at return. Counts and union arms are read from it: an array has
            the smaller of both counts, a byte buffer has its whole capacity at enter. Parameters that were passed by
            value are left out.
        kind_of: Returns the kind of a handle's object, for unions that depend on it.

    Returns:
        The structure that the single parameter points to (None for NULL), or the parameters by name.
    """
    read = struct_reader(lay_out(spec.argument, abi), spec.union_arms)
    source = Source(abi, memory, before, kind_of)
    if spec.argument.parameters:
        data = parameter_block(read.layout, arguments)
        values = read(data, data, None, source)
        if before is None:
            return values
        return {name: value for name, value in values.items() if is_described_pointer(spec.argument.field(name).type)}
    address = arguments[0] if arguments else 0
    return read.at(address, address, None, source) if address else None
