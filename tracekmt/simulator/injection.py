"""Failures on purpose, where they are asked for:

    FUNCTION@N=STATUS            its Nth call, counted from 1
    FUNCTION@N+M=STATUS          that one, and every Mth after it
    FUNCTION=STATUS              every call of it
    ... if CONDITION             of those, the ones whose inputs a condition of `dump --where` holds for
    adapter@N=stopped            before call N of all, counted from 0 as indexes are, the adapters are stopped
    video_memory@N=SIZE          the same for the budget of every adapter, or of the machine (system_memory)

FUNCTION may be a pattern, as D3DKMTCreate*; a pattern's calls are counted together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from tracekmt import ntstatus
from tracekmt.calls import CALLS
from tracekmt.errors import UsageError
from tracekmt.simulator.rule import ValidationRule
from tracekmt.text.filter import CallPredicate, parse_where
from tracekmt.text.units import parse_size

_FORM = re.compile(
    r"\s*(?P<what>[\w*?\[\]]+)\s*(?:@(?P<first>\d+)(?:\+(?P<step>\d+))?)?\s*=\s*(?P<result>[^\s]+)"
    r"(?:\s+if\s+(?P<condition>.+))?\s*"
)
_MACHINE = ("adapter", "video_memory", "system_memory")


@dataclass
class Asked:
    """A call that a condition is about."""

    name: str
    inputs: Any


@dataclass
class InjectedFault:
    """Calls to refuse. seen: how many calls it has counted. struck: how many it has refused."""

    text: str
    function: str
    status: str
    first: int | None
    step: int | None
    condition: CallPredicate | None
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def matches(self, name: str, inputs: Callable[[], Any]) -> bool:
        """Whether the next call is one of them."""
        if not fnmatchcase(name, self.function):
            return False
        if self.condition is not None and not self.condition(Asked(name, inputs())):
            return False
        self.seen += 1
        if self.first is None:
            return True
        behind = self.seen - self.first
        return behind == 0 or (self.step is not None and behind > 0 and behind % self.step == 0)

    @property
    def rule(self) -> ValidationRule:
        """What it is answered with, as rules say it."""
        return ValidationRule(
            self.status, f"injected: {self.text}", lambda request: True, "as it was asked for", "assumption"
        )


@dataclass(frozen=True)
class MachineChange:
    """A change of the machine before a call.

    Attributes:
        text: The change as the user wrote it.
        at: Index of the call that the change precedes.
        what: Part of the machine that changes.
        size: New budget in bytes, for a memory change.
    """

    text: str
    at: int
    what: Literal["adapter", "video_memory", "system_memory"]
    size: int = 0


def parse_faults(texts: Any) -> tuple[list[InjectedFault], list[MachineChange]]:
    """Faults, and changes by the call that they come before; UsageError names what is wrong."""
    if isinstance(texts, str) or not isinstance(texts, (list, tuple)):
        raise UsageError(
            f"faults is a list of texts such as D3DKMTCreateAllocation2@10=STATUS_NO_MEMORY, not {texts!r}"
        )
    faults: list[InjectedFault] = []
    changes: list[MachineChange] = []
    for text in texts:
        found = _FORM.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise UsageError(
                f"{text}: is no fault; write FUNCTION@N=STATUS, such as D3DKMTCreateDevice@2=STATUS_NO_MEMORY"
            )
        if found["what"] in _MACHINE:
            changes.append(_change(text, found))
        else:
            faults.append(_fault(text, found))
    return faults, changes


def _fault(text: str, found: re.Match[str]) -> InjectedFault:
    named = [call for name, call in CALLS.items() if fnmatchcase(name, found["what"])]
    if not named:
        raise UsageError(f"{text}: {found['what']} names no described function; tracekmt calls lists them")
    first, step = (None if found[part] is None else int(found[part]) for part in ("first", "step"))
    if first == 0 or step == 0:
        raise UsageError(f"{text}: calls of a function are counted from 1")
    condition = None if found["condition"] is None else parse_where(found["condition"], named)
    return InjectedFault(text, found["what"], ntstatus.status(found["result"]).name, first, step, condition)


def _change(text: str, found: re.Match[str]) -> MachineChange:
    if found["first"] is None or found["step"] is not None or found["condition"] is not None:
        raise UsageError(f"{text}: say before which call: {found['what']}@N={found['result']}")
    at = int(found["first"])
    if found["what"] == "adapter":
        if found["result"] != "stopped":
            raise UsageError(f"{text}: adapters can be stopped: adapter@{at}=stopped")
        return MachineChange(text, at, "adapter")
    what: Literal["video_memory", "system_memory"] = (
        "video_memory" if found["what"] == "video_memory" else "system_memory"
    )
    return MachineChange(text, at, what, parse_size(found["result"]))
