"""What is to be hooked in a process: which functions of which modules, and all that the agent is told of them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tracekmt.calls import CALLS, EXPORT_PREFIXES, INTERFACE, raw_call
from tracekmt.errors import UsageError
from tracekmt.record.agent.plan import Plan, compile_plan
from tracekmt.resources import resource
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace.buffer_format import layout_in_c

RAW_FUNCTIONS = 256
"""How many functions that nobody has described one recording can hold (win32u has some 80 under Wine 8)."""


def choose_calls(globs: Sequence[str]) -> list[CallSpec]:
    """The described functions that any of the patterns names, all without patterns; UsageError where one names none."""
    for glob in globs:
        if not fnmatch.filter(CALLS, glob) and not glob.startswith(EXPORT_PREFIXES):
            raise UsageError(f"{glob} names no described function; tracekmt calls lists them")
    return [call for name, call in CALLS.items() if not globs or any(fnmatch.fnmatchcase(name, g) for g in globs)]


MACHINES = {
    "linux x64": ("x64.c", "recorder.c", "linux.c", "call.c", "gate.c"),
    "linux ia32": ("x86.c", "recorder.c", "linux.c", "gate.c"),
    "windows x64": ("x64.c", "recorder.c", "windows.c", "call.c"),
    "windows ia32": ("x86.c", "recorder.c", "windows.c"),
}
"""The recorder's sources, by system and processor as Frida names them."""


def hook_source(*names: str) -> str:
    """C sources of hooks, one behind the other, with the layout of the memory that they work on."""
    return layout_in_c() + "".join(resource("hooks", name).read_text("utf-8") for name in names)


class Hooks:
    """calls: the functions by the numbers that their events carry; those that nobody has described get their names when
    the agent meets them. windows: the process is a Windows program. layout: how its structures lie. plan: what the
    recorder does with them."""

    def __init__(self, functions: Sequence[str], modules: Sequence[str]) -> None:
        self.functions = tuple(functions)
        self.calls: dict[int, CallSpec] = dict(enumerate(choose_calls(functions)))
        self.modules = list(modules)
        self.windows = False
        self.abi: Abi = "wsl"
        self.plan = Plan()
        first = len(self.calls)
        self._spare = {first + number: raw_call(f"{number}") for number in range(RAW_FUNCTIONS)}

    def configure(self, *, windows: bool, narrow: bool) -> None:
        """Say what sort of process it is for; narrow: one of 32 bits. Without modules it is the library that has the
        thunks there."""
        self.windows, self.abi = windows, "x86" if narrow else "x64" if windows else "wsl"
        self.plan = compile_plan(self.planned.items(), self.abi)
        self.modules = self.modules or ["gdi32.dll" if windows else "libdxcore.so"]

    def name(self, number: int, name: str) -> None:
        """A function that nobody has described was met."""
        self.calls[number] = raw_call(name)
        self.plan.hooks[name] = self.plan.hooks.pop(self._spare[number].name)

    @property
    def planned(self) -> dict[int, CallSpec]:
        """Every call that events may carry the number of."""
        return {**self._spare, **self.calls}

    def config(self, memory: Mapping[str, Any]) -> dict[str, Any]:
        """What the agent starts with; `memory` is where the recorder in the process writes to."""
        spare = {call.name for number, call in self._spare.items() if number not in self.calls}
        places = self.plan.hooks
        return {
            "memory": memory,
            "plan": self.plan.words,
            "hooks": {name: place for name, place in places.items() if name not in spare},
            "raw": {
                "prefixes": EXPORT_PREFIXES,
                "patterns": [_regular_expression(glob) for glob in self.functions],
                "hooks": [place for name, place in places.items() if name in spare],
            },
            "modules": self.modules,
            "windows": self.windows,
            "interface": INTERFACE,
            "sources": {machine: hook_source(*names) for machine, names in MACHINES.items()},
        }


def _regular_expression(glob: str) -> str:
    """A pattern as JavaScript takes it."""
    wild = {"*": ".*", "?": "."}
    return "^" + "".join(wild.get(letter, re.escape(letter)) for letter in glob) + "$"
