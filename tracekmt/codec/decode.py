"""Decoding: bytes to values. It never fails on missing memory, which becomes `Unreadable`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tracekmt import core
from tracekmt.budgets import BUDGETS
from tracekmt.codec.context import KindOf
from tracekmt.codec.memory import Memory, Recorded
from tracekmt.codec.parameters import parameter_block
from tracekmt.codec.programs import program_of
from tracekmt.codec.readers import Source, struct_reader
from tracekmt.codec.values import Unreadable
from tracekmt.core import Region
from tracekmt.spec.layout import lay_out
from tracekmt.spec.types import Abi, CallSpec, is_described_pointer

_ADDRESS_LIMIT = 1 << 64


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
    if isinstance(memory, Recorded) and (before is None or isinstance(before, Recorded)):
        entered = None if before is None else before.regions
        return decode_recorded(spec, abi, memory.regions, arguments, entered, kind_of)
    return _decode_in_python(spec, abi, memory, arguments, before, kind_of)


def decode_recorded(
    spec: CallSpec,
    abi: Abi,
    regions: tuple[Region, ...],
    arguments: Sequence[int],
    before: tuple[Region, ...] | None = None,
    kind_of: KindOf | None = None,
) -> dict[str, Any] | Unreadable | None:
    """Decode the argument of a recorded call as `decode` does, from regions in place of memory."""
    decoded = decode_in_core(spec, abi, regions, arguments, before)
    if decoded is not NotImplemented:
        return decoded  # type: ignore[no-any-return]
    entered = None if before is None else Recorded(before)
    return _decode_in_python(spec, abi, Recorded(regions), arguments, entered, kind_of)


def decode_in_core(
    spec: CallSpec,
    abi: Abi,
    regions: tuple[Region, ...],
    arguments: Sequence[int],
    before: tuple[Region, ...] | None,
) -> Any:
    """Decode the argument of a recorded call by the core.

    Returns:
        As `decode`. NotImplemented for what is left to Python, such as a union that depends on the kind of an object.
    """
    if core.CORE is None or not arguments or not 0 < arguments[0] < _ADDRESS_LIMIT:
        return NotImplemented
    program = _program(spec, abi)
    if program is None:
        return NotImplemented
    return core.CORE.decode(program, regions, before, arguments[0], BUDGETS.values, BUDGETS.value_bytes)


def _decode_in_python(
    spec: CallSpec,
    abi: Abi,
    memory: Memory,
    arguments: Sequence[int],
    before: Memory | None,
    kind_of: KindOf | None,
) -> dict[str, Any] | Unreadable | None:
    address = arguments[0] if arguments else 0
    read = struct_reader(lay_out(spec.argument, abi), spec.union_arms)
    source = Source(abi, memory, before, kind_of)
    if spec.argument.parameters:
        data = parameter_block(read.layout, arguments)
        values = read(data, data, None, source)
        if before is None:
            return values
        return {name: value for name, value in values.items() if is_described_pointer(spec.argument.field(name).type)}
    return read.at(address, address, None, source) if address else None


@lru_cache(maxsize=4096)
def _program(spec: CallSpec, abi: Abi) -> Any:
    """Return the program of the argument of a function. None for what is left to Python."""
    return None if spec.argument.parameters else program_of(lay_out(spec.argument, abi), spec.union_arms)
