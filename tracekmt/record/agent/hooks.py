"""Selects the functions to hook in a process and configures the agent for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tracekmt.calls import CALLS, EXPORT_PREFIXES, INTERFACE, calls_of_build, layout_build, raw_call
from tracekmt.record.agent.faults import add_faults, callers_of, parse_live_faults
from tracekmt.record.agent.plan import Plan, compile_plan
from tracekmt.resources import resource
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.text.functions import described_functions, matches_function, unknown_function
from tracekmt.trace.buffer_format import c_definitions

RAW_FUNCTIONS = 256
"""Limit of undescribed functions in one recording (win32u has some 80 under Wine 8)."""

WINDOWS_MODULE = "gdi32.dll"
LINUX_MODULE = "libdxcore.so"

MACHINES = {
    "linux x64": ("x64.c", "recorder.c", "linux.c", "follow.c", "mailbox.c", "call.c", "gate.c"),
    "linux ia32": ("x86.c", "recorder.c", "linux.c", "follow.c", "mailbox.c", "call.c", "gate.c"),
    "windows x64": ("x64.c", "recorder.c", "windows.c", "call.c"),
    "windows ia32": ("x86.c", "recorder.c", "windows.c"),
}
"""Source files of the recorder, by system and processor in Frida's names."""


def choose_specs(globs: Sequence[str], calls: Mapping[str, CallSpec] = CALLS) -> list[CallSpec]:
    """Return the descriptions of the functions that match any of the patterns, all of them without patterns.

    Raises:
        UsageError: A pattern matches no described function and cannot match an undescribed one.
    """
    for glob in globs:
        if not described_functions(glob) and not glob.startswith(EXPORT_PREFIXES):
            raise unknown_function(glob, "--functions")
    return [spec for name, spec in calls.items() if not globs or any(matches_function(glob, name) for glob in globs)]


def hook_source(*names: str) -> str:
    """Return C source files of hooks/, concatenated behind the layout of the shared buffer."""
    return c_definitions() + "".join(resource("hooks", name).read_text("utf-8") for name in names)


class Hooks:
    """The functions to hook in a process.

    Attributes:
        functions: Patterns of function names that the user chose.
        specs: Descriptions by the ids that events carry. An undescribed function is added when the agent finds it.
        modules: Libraries whose exports are hooked.
        faults: Faults that the recorder injects.
        windows: True if the process is a Windows program.
        abi: ABI of the process.
        build: Build of its Windows, None if it is unknown or there is none.
        layouts: First build of Windows with the layouts of the process's structures.
        plan: Program of the recorder for these functions and this layout.
    """

    def __init__(self, functions: Sequence[str], modules: Sequence[str], faults: Sequence[str] = ()) -> None:
        self.functions = tuple(functions)
        self.specs: dict[int, CallSpec] = dict(enumerate(choose_specs(functions)))
        self.faults = parse_live_faults(faults, self.specs.values())
        self.modules = list(modules)
        self.windows = False
        self.abi: Abi = "wsl"
        self.build: int | None = None
        self.layouts = layout_build(None, self.abi)
        self.plan = Plan()
        first_spare = len(self.specs)
        self._spare = {first_spare + number: raw_call(f"{number}") for number in range(RAW_FUNCTIONS)}

    def configure(self, *, windows: bool, is_32bit: bool, build: int | None = None) -> None:
        """Compile the plan for one sort of process. Without modules, choose the one that has the thunks there."""
        self.windows, self.abi = windows, "x86" if is_32bit else "x64" if windows else "wsl"
        self.build, self.layouts = build, layout_build(build, self.abi)
        self.specs.update(enumerate(choose_specs(self.functions, calls_of_build(self.layouts))))
        self.plan = compile_plan(self.planned.items(), self.abi)
        add_faults(self.plan, self.faults, self.specs, self.abi)
        self.modules = self.modules or [WINDOWS_MODULE if windows else LINUX_MODULE]

    def name_raw(self, spec_id: int, name: str) -> None:
        """Assign a spare id to an undescribed function that the agent has found."""
        self.specs[spec_id] = raw_call(name)
        self.plan.hooks[name] = self.plan.hooks.pop(self._spare[spec_id].name)

    @property
    def planned(self) -> dict[int, CallSpec]:
        """Descriptions by every id that an event may carry, including the spare ones."""
        return {**self._spare, **self.specs}

    def is_module_to_hook(self, name: str, path: str) -> bool:
        """Return True if the exports of a module are to be hooked, by the rule of hooks/agent.js."""
        return any(module == path or module.lower() == name.lower() for module in self.modules)

    def config(self, memory: Mapping[str, Any]) -> dict[str, Any]:
        """Return the agent's configuration.

        Args:
            memory: Location of the buffer that the recorder in the process writes to.
        """
        spare_names = {spec.name for spec_id, spec in self._spare.items() if spec_id not in self.specs}
        entries = self.plan.hooks
        return {
            "memory": memory,
            "plan": self.plan.words,
            "hooks": {name: entry for name, entry in entries.items() if name not in spare_names},
            "raw": {
                "prefixes": EXPORT_PREFIXES,
                "patterns": [_regular_expression(glob) for glob in self.functions],
                "hooks": [entry for name, entry in entries.items() if name in spare_names],
            },
            "modules": self.modules,
            "windows": self.windows,
            "hasFaults": bool(self.faults),
            "callers": [f"^{_glob_expression(pattern)}$" for pattern in callers_of(self.faults)],
            "interface": INTERFACE,
            "sources": {machine: hook_source(*names) for machine, names in MACHINES.items()},
        }


def _regular_expression(glob: str) -> str:
    """Return a pattern of function names, with or without their prefix, as a regular expression of JavaScript."""
    return f"^({'|'.join(EXPORT_PREFIXES)})?{_glob_expression(glob)}$"


def _glob_expression(glob: str) -> str:
    wildcards = {"*": ".*", "?": "."}
    return "".join(wildcards.get(letter, re.escape(letter)) for letter in glob)
