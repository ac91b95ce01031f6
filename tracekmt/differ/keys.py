"""Keys of calls: numbers that are equal for calls with equal values, whatever numbers a run gave to its objects.

The weak key has the function and what selects its meaning: enumerations, and the fields that select a payload. The
plain key also has flags, sizes, counts and all other plain inputs at fixed places. Neither has handles, addresses and
fence values. Contents of buffers have their own key, because a driver may put addresses there. So have the bytes of
unions of plain values, because those of another arm are undefined. The outcome key has the return value and the plain
outputs.

Keys are equal or not within one run of this program. They are not stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tracekmt import core
from tracekmt.differ.forms import NativeForm, form_of, native_form
from tracekmt.spec import types as t
from tracekmt.trace.call import KEPT_RESULTS, TracedCall, is_small, outcome_of
from tracekmt.trace.events import Region

LEAST_DISTANCE = 1 << 24
"""Smallest number that may be a distance between randomised addresses. Linux places memory at random in 2^28 pages."""


class CallKeys(NamedTuple):
    """Keys of the inputs of a call.

    Attributes:
        weak: Key of the function and its selectors.
        plain: Key of the function and its plain inputs.
        contents: Key of the contents of buffers.
        is_exact: Equal plain keys and contents leave no plain input to compare.
    """

    weak: int
    plain: int
    contents: int
    is_exact: bool


def return_kind(spec: t.CallSpec) -> int:
    """Return what a function returns, as `tracekmt/core/history.h` has it."""
    return {"NTSTATUS": 0, "BOOLEAN": 1}.get(spec.returns, 2)


def keys_of(call: TracedCall) -> CallKeys:
    """Return the keys of the inputs of a call."""
    spec, regions = call.spec, call.enter.regions
    if core.CORE is not None:
        form = native_form(spec, call.abi, "in")
        keys = _native_keys(core.CORE, form, spec, call.enter.arguments, regions)
        if keys is not NotImplemented:
            weak, plain, contents, is_exact = keys
            return CallKeys(weak, plain, contents, bool(is_exact and form.is_exact))
    keys_of_inputs = _repeated_keys if is_small(regions) else _input_keys
    return keys_of_inputs(spec, call.abi, call.enter.arguments, regions)


def _input_keys(spec: t.CallSpec, abi: t.Abi, arguments: tuple[int, ...], regions: tuple[Region, ...]) -> CallKeys:
    form = form_of(spec, abi, "in")
    argument, memory = _argument(spec, arguments, regions)
    plain, is_exact = form.plain, form.is_exact
    number = int.from_bytes(argument, "little")
    for place in form.distances:
        if number & place >= (place & -place) * LEAST_DISTANCE:
            plain = plain._replace(bits=plain.bits & ~place)
            is_exact = False
    pointees, unions = form.read_pointees(argument, memory)
    return CallKeys(
        hash((spec.name, form.selectors.of(argument))),
        hash((spec.name, plain.of(argument), *pointees)),
        hash((*memory.values(), *unions)) if memory or unions else 0,
        is_exact,
    )


_repeated_keys = lru_cache(maxsize=KEPT_RESULTS)(_input_keys)


def outcome_key(call: TracedCall) -> tuple[int, bool]:
    """Return the key of the outcome of a call that returned. The second value is that of `CallKeys.is_exact`."""
    assert call.leave is not None
    spec, regions = call.spec, call.leave.regions
    if core.CORE is not None:
        form = native_form(spec, call.abi, "out")
        keys = _native_keys(core.CORE, form, spec, call.enter.arguments, regions)
        if keys is not NotImplemented:
            status, result = outcome_of(spec, call.leave.result)
            returned = status if status is not None else 0 if result is None else result
            return core.CORE.mix_numbers([return_kind(spec), int(returned), keys[1], keys[2]]), form.is_exact
    return _outcome_key(call, regions)


def _outcome_key(call: TracedCall, regions: tuple[Region, ...]) -> tuple[int, bool]:
    form = form_of(call.spec, call.abi, "out")
    argument, memory = _argument(call.spec, call.enter.arguments, regions)
    pointees, unions = form.read_pointees(argument, memory)
    contents = hash((*memory.values(), *unions)) if memory or unions else 0
    assert call.leave is not None
    outcome = outcome_of(call.spec, call.leave.result)
    return hash((outcome, form.plain.of(argument), contents, *pointees)), form.is_exact


def _native_keys(
    native: core.Core, form: NativeForm, spec: t.CallSpec, arguments: tuple[int, ...], regions: tuple[Region, ...]
) -> Any:
    """Return the keys that the core makes. NotImplemented for a call that is left to Python."""
    if spec.argument.parameters or not arguments:
        return native.call_keys(form.form, _argument(spec, arguments, ())[0], 0, regions)
    return native.call_keys(form.form, None, arguments[0], regions)


def _argument(
    spec: t.CallSpec, arguments: tuple[int, ...], regions: Sequence[Region]
) -> tuple[bytes, dict[int, bytes]]:
    """Return the bytes of the argument, and the memory that it points to."""
    memory = {address: data for address, _, data in regions}
    if spec.argument.parameters:
        return b"".join((word & (1 << 64) - 1).to_bytes(8, "little") for word in arguments), memory
    return (memory.pop(arguments[0], b"") if arguments else b""), memory
