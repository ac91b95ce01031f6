"""What a reproducer printed, as the target of a replay: it answers each call with what stands there."""

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
from tracekmt.convert.c import output_format as printout
from tracekmt.convert.c.output_format import CallOutput, ReproducerOutput
from tracekmt.differ.compare import Entered, Outcome
from tracekmt.edit.copy import refuse_output, replacing
from tracekmt.errors import TraceError, UsageError
from tracekmt.findings import Finding, Report
from tracekmt.ntstatus import Status
from tracekmt.objects.identity import Bindings
from tracekmt.replayer.engine import replay
from tracekmt.replayer.simulator_target import Transcript
from tracekmt.spec import types as t
from tracekmt.trace.call import TracedCall
from tracekmt.trace.reader import Trace

_ESCAPE = re.compile(r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")
_NUMBER = re.compile(r"-?[0-9]{1,20}|0x[0-9a-f]{1,16}")
_OCTETS = re.compile(r"([0-9a-f]{2})+|empty")


def read_back(
    printed: str | os.PathLike[str], trace: str | os.PathLike[str], output: Path, *, force: bool = False
) -> Report:
    """Write what the reproducer of a trace printed as a trace of its own. TraceError where it is no printout,
    UsageError where it is that of another trace."""
    refuse_output(Path(printed), output, force=force)
    path = Path(printed)
    found = printout.read(path)
    with Trace(Path(trace)) as recorded:
        _refuse_another(found, recorded)
        abi = recorded.abi if t.POINTER_SIZE[recorded.abi] >= t.POINTER_SIZE[found.abi] else found.abi
    with replacing(output) as part:
        return replay(trace, on=ReproducerTarget(found, abi), output=part, force=True)


def _refuse_another(found: ReproducerOutput, trace: Trace) -> None:
    if found.mark != printout.trace_fingerprint(trace.header):
        raise UsageError(f"{found.path}: line 1: is the printout of another trace than {trace.path}")
    names = {index: trace.description(number).name for index, number in trace.functions()}
    for index, call in found.calls.items():
        if index not in names or printout.escape_name(names[index]) != call.name:
            raise UsageError(f"{found.path}: line {call.line}: {trace.path} has no such call {index}")


class ReproducerTarget:
    """A printout that answers. It takes no inputs, has no objects of its own, and knows only the calls in it."""

    real = False

    def __init__(self, found: ReproducerOutput, abi: t.Abi) -> None:
        self.name = "printout of a reproducer"
        self.abi: t.Abi = abi
        self.machine: dict[str, Any] = {}
        self._found = found

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Nothing is known before the first call."""
        return []

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterable[Finding]:
        """What calls were given is no more."""
        return ()

    def notes(self) -> Iterable[str]:
        """What the reproducer had to say."""
        return ()

    def restart(self) -> None:
        """It goes on answering."""

    def close(self) -> None:
        """It has made nothing."""

    def adopt(self, kind: t.Kind, given: dict[t.Kind, int]) -> int | None:
        """A reproducer has no objects that are older than the trace."""
        return None

    def call(self, entered: Entered) -> tuple[Outcome, Transcript] | None:
        """The printed outcome of a call; None where it was not made."""
        traced = entered.call
        printed = self._found.calls.get(traced.index)
        if printed is None or printed.missing:
            return None
        arena = Arena(self.abi, 1)
        arguments = codec.encode(traced.spec, self.abi, arena, entered.inputs())
        before = arena.regions()
        if printed.result is None:
            return Outcome(None, traced.spec.argument, None, traced.index, returned=False), Transcript(
                arguments, before, [], None
            )
        outputs = self._outputs(traced, printed, entered.inputs())
        if outputs is not None:
            try:
                codec.encode(traced.spec, self.abi, arena, outputs)
            except UsageError as error:
                raise TraceError(
                    f"{self._found.path}: line {printed.line}: what was printed fits nowhere: {error}"
                ) from None
        after = arena.regions()
        gives_status = traced.spec.returns == "NTSTATUS"
        outcome = Outcome(
            Status(printed.result) if gives_status else None,
            traced.spec.argument,
            codec.decode(traced.spec, self.abi, arena, arguments, Recorded(before)),
            traced.index,
            result=printed.result & 0xFF if traced.spec.returns == "BOOLEAN" else None,
        )
        return outcome, Transcript(arguments, before, after, printed.result)

    def _outputs(self, traced: TracedCall, printed: CallOutput, inputs: Any) -> dict[str, Any] | None:
        """The argument as the call left it: what is printed, what the call was given, and of what is neither, what was
        recorded. None where there is no argument."""
        recorded = traced.outputs if traced.returned else traced.inputs
        if not isinstance(inputs, dict) or not isinstance(recorded, dict):
            return None
        struct = traced.spec.argument
        outputs = deepcopy({**inputs, **recorded})
        given = {leaf.path: leaf.value for leaf in _leaves(struct, inputs)}
        there = {printout.escape_name(leaf.path): leaf for leaf in _leaves(struct, outputs)}
        for leaf in there.values():
            if leaf.path in given:
                leaf.values[leaf.key] = given[leaf.path]
        for path, (line, text) in printed.fields.items():
            where = f"{self._found.path}: line {line}"
            if path not in there:
                raise TraceError(f"{where}: the call has no {path[:80]} that it writes")
            there[path].values[there[path].key] = _value(there[path].type, text, f"{where}: {path[:80]}")
        return outputs


def _leaves(struct: t.Struct, values: Any) -> Iterator[FieldValue]:
    """The values of an argument, to the last number."""
    for leaf in codec.iter_values(struct, values):
        if isinstance(leaf.type, t.Struct) and isinstance(leaf.value, dict):
            yield from codec.iter_values(leaf.type, leaf.value, f"{leaf.path}.", f"{leaf.pattern}.")
        else:
            yield leaf


def _value(type_: t.Type, text: str, where: str) -> Any:
    """A printed value of a type."""
    if isinstance(type_, (t.WString, t.WCharArray, t.CountedString)):
        if text.startswith('"'):
            return _ESCAPE.sub(_character, text[1:-1])
    elif isinstance(type_, (t.Bytes, t.RawWindow, t.Payload, t.VariableRecords, t.ByteArray)):
        if _OCTETS.fullmatch(text):
            return b"" if text == "empty" else bytes.fromhex(text)
    elif _NUMBER.fullmatch(text):
        number = int(text, 0) if text.startswith("0x") else int(text)
        return number if not isinstance(type_, t.Float) else _real(type_, number)
    raise TraceError(f"{where} is printed as {text[:40]}, which it cannot be")


def _character(found: re.Match[str]) -> str:
    number = int(found[1] or found[2], 16)
    return chr(number) if number <= sys.maxunicode else "\ufffd"


def _real(type_: t.Float, bits: int) -> float:
    size = type_.size
    value: float = packing.unpack("<f" if size == 4 else "<d", (bits & (1 << 8 * size) - 1).to_bytes(size, "little"))[0]
    return value
