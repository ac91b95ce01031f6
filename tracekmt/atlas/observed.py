"""Reads what the program of the atlas printed on a machine, and compares it with the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tracekmt.atlas.cases import Case, write_atlas
from tracekmt.convert.c.output_format import ReproducerOutput, read_output, trace_fingerprint
from tracekmt.errors import UsageError
from tracekmt.ntstatus import Status
from tracekmt.trace.reader import Trace


@dataclass(frozen=True)
class Observation:
    """A case on a machine.

    Attributes:
        case: The case.
        status: Name of the status that the machine returned. None if the call was not made, or did not return.
        is_missing: True if the machine does not have the function.
    """

    case: Case
    status: str | None
    is_missing: bool = False

    @property
    def holds(self) -> bool | None:
        """True if the machine returned the status of the rule, None if it returned nothing."""
        return None if self.status is None else self.status == self.case.status


@dataclass(frozen=True)
class Machine:
    """A machine as its output shows it.

    Attributes:
        path: The output.
        observations: The cases, in the order of the atlas.
        complete: True if the program finished.
    """

    path: Path
    observations: list[Observation]
    complete: bool

    def to_toml(self) -> str:
        """Return a machine file for `--profile`, with the statuses that differ from the rules."""
        lines = [f"# Read from {json.dumps(self.path.name)} by tracekmt atlas.", "[assumptions]"]
        lines += [
            f"{json.dumps(seen.case.rule)} = {json.dumps(seen.status)}"
            for seen in self.observations
            if seen.holds is False and not seen.case.later
        ]
        return "\n".join(lines) + "\n"


def read_machines(*paths: Path) -> list[Machine]:
    """Read the output of the atlas on machines.

    Raises:
        TraceError: A file is not the output of a reproducer.
        UsageError: A file is from another version of the atlas.
    """
    with TemporaryDirectory(prefix="tracekmt-") as folder:
        path = Path(folder) / "atlas.kmt"
        cases = write_atlas(path).cases
        with Trace(path) as trace:
            expected = trace_fingerprint(trace.header)
    machines = []
    for printed in paths:
        output = read_output(printed)
        if output.fingerprint != expected:
            raise UsageError(f"{printed}: printed by the atlas of another version, or by another reproducer")
        machines.append(Machine(printed, [_observe(case, output) for case in cases], output.complete))
    return machines


def _observe(case: Case, output: ReproducerOutput) -> Observation:
    call = output.calls.get(case.index)
    if call is None or call.result is None:
        return Observation(case, None, call is not None and call.missing)
    return Observation(case, Status(call.result & 0xFFFFFFFF).name)


def differences(first: Machine, second: Machine) -> Iterator[tuple[Observation, Observation]]:
    """Yield the cases that two machines answer in different ways."""
    for pair in zip(first.observations, second.observations, strict=True):
        if (pair[0].status, pair[0].is_missing) != (pair[1].status, pair[1].is_missing):
            yield pair
