"""Replay target that returns the printed results of a reproducer."""

from __future__ import annotations

import os
import re
import struct as packing
import sys
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from tracekmt import codec
from tracekmt.codec import FieldValue
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.convert.c.output_format import (
    CallOutput,
    ReproducerOutput,
    escape_name,
    read_output,
    trace_fingerprint,
)
from tracekmt.differ.outcome import EnteredCall, Outcome
from tracekmt.edit.copy import refuse_output, replace_on_success
from tracekmt.errors import TraceError, UsageError
from tracekmt.findings import Finding, Report
from tracekmt.ntstatus import Status
from tracekmt.objects.identity import Bindings
from tracekmt.replayer.engine import replay
from tracekmt.replayer.target import Transcript
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.trace.call import TracedCall
from tracekmt.trace.reader import Trace

_ESCAPE = re.compile(r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")
_NUMBER = re.compile(r"-?[0-9]{1,20}|0x[0-9a-f]{1,16}")
_HEX_BYTES = re.compile(r"([0-9a-f]{2})+|empty")


def read_back(
    printed: str | os.PathLike[str], trace: str | os.PathLike[str], output: Path, *, force: bool = False
) -> Report:
    """Convert the output of a reproducer into a trace.

    Args:
        printed: The output.
        trace: The trace of the reproducer.
        output: The trace to write.
        force: Overwrite an existing trace.

    Returns:
        The report of the comparison with the recorded calls.

    Raises:
        TraceError: The output is invalid.
        UsageError: The output belongs to another trace, or `output` exists.
    """
    refuse_output(Path(printed), output, force=force)
    reproducer_output = read_output(Path(printed))
    with Trace(Path(trace)) as recorded:
        _check_trace(reproducer_output, recorded)
        # Printed and recorded values must fit, so use the ABI with the larger pointers.
        is_recorded_wider = t.POINTER_SIZE[recorded.abi] >= t.POINTER_SIZE[reproducer_output.abi]
        abi = recorded.abi if is_recorded_wider else reproducer_output.abi
    with replace_on_success(output) as part:
        return replay(trace, on=ReproducerTarget(reproducer_output, abi), output=part, force=True)


def _check_trace(output: ReproducerOutput, trace: Trace) -> None:
    """Check that an output belongs to a trace."""
    if output.fingerprint != trace_fingerprint(trace.header):
        raise UsageError(f"{output.path}: line 1: output of a different trace (expected {trace.path})")
    names = {index: trace.spec(spec_id).name for index, spec_id in trace.spec_ids()}
    for index, call_output in output.calls.items():
        if index not in names or escape_name(names[index]) != call_output.name:
            line = f"{output.path}: line {call_output.line}"
            raise UsageError(f"{line}: {trace.path} does not have this call: {index} {call_output.name[:80]}")


class ReproducerTarget:
    """Replay target that returns printed results. It ignores inputs and has no objects.

    Args:
        output: The output of the reproducer.
        abi: ABI of the memory that the target returns.
    """

    real = False

    def __init__(self, output: ReproducerOutput, abi: t.Abi) -> None:
        self.name = "output of a reproducer"
        self.abi: t.Abi = abi
        self.machine: dict[str, Any] = {}
        self._output = output

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Bind nothing. The output has no values from before the first call."""
        return []

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterable[Finding]:
        """Prepare nothing. The output does not depend on the inputs."""
        return ()

    def notes(self) -> Iterable[str]:
        """Return no notes."""
        return ()

    def restart(self) -> None:
        """Continue after a call that did not return."""

    def close(self) -> None:
        """Close nothing."""

    def waits(self, call: TracedCall) -> bool:
        """Return False: the program has made its calls."""
        return False

    def adopt(self, kind: t.Kind, handle: int, given: dict[t.Kind, int]) -> int | None:
        """Return None: a reproducer has no objects that are older than the trace."""
        return None

    def call(self, entered: EnteredCall) -> tuple[Outcome, Transcript] | None:
        """Return the printed outcome of a call, or None if the reproducer did not make the call."""
        call = entered.call
        call_output = self._output.calls.get(call.index)
        if call_output is None or call_output.missing:
            return None
        arena = Arena(self.abi, 1)
        arguments = codec.encode(call.spec, self.abi, arena, entered.inputs())
        before = arena.regions()
        if call_output.result is None:
            outcome = Outcome(None, call.spec.argument, None, call.index, returned=False)
            return outcome, Transcript(arguments, before, [], None)
        outputs = self._outputs(call, call_output, entered.inputs())
        if outputs is not None:
            try:
                codec.encode(call.spec, self.abi, arena, outputs)
            except UsageError as error:
                where = f"{self._output.path}: line {call_output.line}"
                raise TraceError(f"{where}: invalid output of the call: {error}") from None
        after = arena.regions()
        returns_status = call.spec.returns == "NTSTATUS"
        outcome = Outcome(
            Status(call_output.result) if returns_status else None,
            call.spec.argument,
            codec.decode(call.spec, self.abi, arena, arguments, Recorded(before)),
            call.index,
            result=call_output.result & 0xFF if call.spec.returns == "BOOLEAN" else None,
        )
        return outcome, Transcript(arguments, before, after, call_output.result)

    def _outputs(self, call: TracedCall, call_output: CallOutput, inputs: Any) -> dict[str, Any] | None:
        """Return the argument after the call, or None if there is no argument.

        Printed values come first, then the inputs that the reproducer used, then the recorded values.
        """
        recorded = call.outputs if call.returned else call.inputs
        if not isinstance(inputs, dict) or not isinstance(recorded, dict):
            return None
        struct = call.spec.argument
        outputs = deepcopy({**inputs, **recorded})
        input_values = {field_value.path: field_value.value for field_value in _field_values(struct, inputs)}
        output_values = {escape_name(field_value.path): field_value for field_value in _field_values(struct, outputs)}
        for field_value in output_values.values():
            if field_value.path in input_values:
                field_value.values[field_value.key] = input_values[field_value.path]
        for path, (line, text) in call_output.fields.items():
            where = f"{self._output.path}: line {line}"
            if path not in output_values:
                raise TraceError(f"{where}: unknown field of the call: {path[:80]}")
            field_value = output_values[path]
            field_value.values[field_value.key] = _parse_value(field_value.type, text, f"{where}: {path[:80]}")
        return outputs


def _field_values(struct: t.Struct, values: Any) -> Iterator[FieldValue]:
    """Yield the values of an argument. Structures that have a kind are split into their fields."""
    for field_value in codec.iter_values(struct, values):
        if isinstance(field_value.type, t.Struct) and isinstance(field_value.value, dict):
            prefix, pattern = f"{field_value.path}.", f"{field_value.pattern}."
            yield from codec.iter_values(field_value.type, field_value.value, prefix, pattern)
        else:
            yield field_value


def _parse_value(type_: t.Type, text: str, where: str) -> Any:
    """Parse a printed value of a type."""
    if isinstance(type_, (t.WString, t.WCharArray, t.CountedString)):
        if text.startswith('"'):
            return _ESCAPE.sub(_unescape, text[1:-1])
    elif isinstance(type_, (t.Bytes, t.RawWindow, t.Payload, t.VariableRecords, t.ByteArray)):
        if _HEX_BYTES.fullmatch(text):
            return b"" if text == "empty" else bytes.fromhex(text)
    elif isinstance(type_, (*t.PLAIN_TYPES, t.Pointer, t.Array, t.Union, t.Struct)):
        if _NUMBER.fullmatch(text):
            number = int(text, 0) if text.startswith("0x") else int(text)
            return number if not isinstance(type_, t.Float) else _float_from_bits(type_, number)
    else:
        assert_never(type_)
    raise TraceError(f"{where}: invalid value: {text[:40]}")


def _unescape(match: re.Match[str]) -> str:
    code_point = int(match[1] or match[2], 16)
    return chr(code_point) if code_point <= sys.maxunicode else "\ufffd"


def _float_from_bits(type_: t.Float, bits: int) -> float:
    size = type_.size
    value: float = packing.unpack("<f" if size == 4 else "<d", (bits & (1 << 8 * size) - 1).to_bytes(size, "little"))[0]
    return value
