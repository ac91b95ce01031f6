"""Goals of a reduction: what a smaller trace must still show."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tracekmt.differ.baseline import signature
from tracekmt.errors import Error, UsageError
from tracekmt.findings import Finding, Report
from tracekmt.replayer.engine import replay

COMMAND_SECONDS = 60.0


class Goal(Protocol):
    """Property of a trace."""

    index: int | None
    """Index of the call that shows it in the original trace, None if it is unknown."""

    def holds(self, path: Path) -> bool:
        """Return True if a trace has the property."""
        ...

    def __str__(self) -> str: ...


@dataclass
class Target:
    """A target of replays, with its settings."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def replay(self, path: Path) -> Report:
        """Replay a trace."""
        return replay(path, self.name, **self.settings)


class FindingGoal:
    """A finding of a replay, which has the same signature. A second target does not show it."""

    def __init__(self, path: Path, target: Target, against: Target | None, wanted: int | None) -> None:
        """Choose the finding.

        Args:
            path: The original trace.
            target: Target that shows the finding.
            against: Target that does not show it, None without one.
            wanted: Index of the call of the finding, None for the first cause.

        Raises:
            UsageError: There is no such finding.
        """
        self._target, self._against = target, against
        others = _signatures(against.replay(path)) if against is not None else set()
        causes = [finding for finding in _causes(target.replay(path)) if signature(finding) not in others]
        chosen = [finding for finding in causes if wanted is None or wanted in (finding.index, *finding.repeats)]
        if not chosen:
            where = "" if wanted is None else f" at call {wanted}"
            raise UsageError(f"{path}: the replay on {target.name} finds no difference{where}, so nothing can be kept")
        self._signature, self.index = signature(chosen[0]), chosen[0].index
        self._must_be_first = wanted is None and against is None

    def __str__(self) -> str:
        return self._signature

    def holds(self, path: Path) -> bool:
        """Return True if the replay has the finding. Without a choice by the user, it must be the first one."""
        try:
            found = [signature(finding) for finding in _causes(self._target.replay(path))]
            if self._signature not in (found[:1] if self._must_be_first else found):
                return False
            return self._against is None or self._signature not in _signatures(self._against.replay(path))
        except Error:  # a part of a trace may be no trace that can be replayed
            return False


class CommandGoal:
    """A command of the user's that ends with status 0 for the trace."""

    index: int | None = None

    def __init__(self, path: Path, command: str) -> None:
        """Check that the original trace has the property.

        Args:
            path: The original trace.
            command: The command. {} is replaced by the path of a trace.

        Raises:
            UsageError: The command has no {}, or fails for the original trace.
        """
        self._words = _split(command)
        if not any("{}" in word for word in self._words):
            raise UsageError(f"invalid --until: {command} (expected a command with {{}} for the trace)")
        self._command = command
        if not self.holds(path):
            raise UsageError(f"{path}: the command does not end with status 0 for the whole trace: {command}")

    def __str__(self) -> str:
        return self._command

    def holds(self, path: Path) -> bool:
        """Return True if the command ends with status 0 within COMMAND_SECONDS."""
        words = [word.replace("{}", str(path)) for word in self._words]
        try:
            run = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        except OSError as error:
            raise UsageError(f"cannot run {words[0]}: {error.strerror}") from None
        return run.returncode == 0


def _split(command: str) -> list[str]:
    try:
        # Backslashes of Windows are parts of paths.
        words = shlex.split(command, posix=sys.platform != "win32")
        return [word.strip('"') for word in words]
    except ValueError as error:
        raise UsageError(f"invalid --until: {command} ({error})") from None


def _causes(report: Report) -> Iterable[Finding]:
    """Yield the findings that no other one caused, in the order of their calls."""
    causes = [finding for finding in report.findings if finding.counts and finding.cause is None]
    return sorted(causes, key=lambda finding: finding.call_key[1])


def _signatures(report: Report) -> set[str]:
    return {signature(finding) for finding in report.findings if finding.counts}
