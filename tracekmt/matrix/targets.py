"""Targets of a matrix, from the command line and from tables of a matrix file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tracekmt.errors import UsageError
from tracekmt.simulator import Simulator
from tracekmt.simulator.machine_file import profile_settings
from tracekmt.simulator.profiles import PROFILES
from tracekmt.text.units import parse_duration

SIMULATOR, THUNKS = "simulator", "thunks"
EXPECTED = f"simulator, {', '.join(PROFILES)}, a machine file FILE.toml, thunks or thunks:LIBRARY"

_SIMULATOR_OPTIONS: dict[str, tuple[type, ...]] = {
    "profile": (str,),
    "video_memory": (str, int),
    "system_memory": (str, int),
    "fail": (list,),
}
_THUNKS_OPTIONS: dict[str, tuple[type, ...]] = {
    "adapter": (str,),
    "timeout": (str,),
    "keep_going": (bool,),
    "foreign_driver": (bool,),
    "allow": (list,),
    "max_allocations": (int,),
    "max_video_memory": (str, int),
}
_KEYS = ("name", "on", "needs", *_SIMULATOR_OPTIONS, *_THUNKS_OPTIONS)


@dataclass(frozen=True)
class Target:
    """A target of a matrix.

    Attributes:
        name: Its name in reports.
        on: "simulator", "thunks" or "thunks:LIBRARY".
        options: Options of `replay` by name, such as "video_memory".
        needs: Amounts of the resources of a worker that one replay uses, by name.
    """

    name: str
    on: str
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_real(self) -> bool:
        """True for thunks."""
        return self.on != SIMULATOR

    @property
    def library(self) -> Path | None:
        """The library of thunks, if the target names one."""
        path = self.on.partition(":")[2]
        return Path(path) if path else None

    def words(self) -> list[str]:
        """Return the options of `replay` for this target."""
        words = [] if self.on == SIMULATOR else ["--on", self.on]
        for name, value in self.options.items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                words += [option] if value else []
            else:
                for item in value if isinstance(value, list) else [value]:
                    words += [option, str(item)]
        return words

    def settings(self) -> dict[str, Any]:
        """Return the settings of a replay, with the contents of the machine file.

        Raises:
            UsageError: An option is invalid.
        """
        settings = dict(self.options)
        if "timeout" in settings:
            settings["timeout"] = parse_duration(settings["timeout"])
        if "fail" in settings:
            settings["faults"] = settings.pop("fail")
        return settings if self.is_real else {**profile_settings(settings.pop("profile", "windows")), **settings}


def parse_target(text: str) -> Target:
    """Parse a target of the command line, such as "wsl --video-memory 64MB".

    Args:
        text: The target, and options of `replay` after it.

    Raises:
        UsageError: The target or an option is invalid.
    """
    try:
        # Backslashes of Windows are parts of paths.
        first, *words = shlex.split(text, posix=sys.platform != "win32")
    except ValueError:
        raise UsageError(f"invalid target: {text} (expected {EXPECTED})") from None
    options: dict[str, Any] = {}
    queue = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if sys.platform == "win32":
        queue = [part.strip("'\"") for part in queue]
    while queue:
        name = queue.pop(0).removeprefix("--").replace("-", "_")
        types = {**_SIMULATOR_OPTIONS, **_THUNKS_OPTIONS}.get(name)
        if types is None:
            raise UsageError(f"invalid target: {text} (unknown option: --{name.replace('_', '-')})")
        if types == (bool,):
            options[name] = True
            continue
        if not queue:
            raise UsageError(f"invalid target: {text} (--{name.replace('_', '-')} requires a value)")
        value = queue.pop(0)
        if types == (list,):
            options.setdefault(name, []).append(value)
        else:
            options[name] = int(value) if types == (int,) and value.isdecimal() else value
    return _checked(Target(text, first, options))


def read_target(table: Any, folder: Path, source: str) -> Target:
    """Read a target from a table of a matrix file.

    Args:
        table: The table.
        folder: Folder of the matrix file. Paths in the table are relative to it.
        source: Place of the table for errors.

    Raises:
        UsageError: The table is invalid.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{source}: invalid target (expected a table)")
    for key in table:
        if key not in _KEYS:
            raise UsageError(f"{source}: unknown key: {key} (expected one of {', '.join(_KEYS)})")
    options = {key: table[key] for key in table if key not in ("name", "on", "needs")}
    on, name = table.get("on", SIMULATOR), table.get("name")
    if not isinstance(on, str) or not isinstance(name, (str, type(None))) or name == "":
        raise UsageError(f"{source}: invalid name or on (expected texts)")
    if str(options.get("profile", "")).endswith(".toml"):
        options["profile"] = str(folder / options["profile"])
    kind, _, path = on.partition(":")
    if kind == THUNKS and path:
        on = f"{THUNKS}:{folder / path}"
    elif on.endswith(".toml"):
        on = str(folder / on)
    try:
        target = _checked(Target(name or "", on, options, _needs(table.get("needs", {}))))
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    return target if name else replace(target, name=" ".join([target.on, *target.words()]))


def _checked(target: Target) -> Target:
    """Return a target whose options are valid. Profiles and machine files become options of the simulator."""
    if target.on in PROFILES or target.on.endswith(".toml"):
        target = replace(target, on=SIMULATOR, options={"profile": target.on, **target.options})
    kind, colon, path = target.on.partition(":")
    if target.on != SIMULATOR and (kind != THUNKS or bool(colon) != bool(path)):
        raise UsageError(f"invalid target: {target.on} (expected {EXPECTED})")
    known = _THUNKS_OPTIONS if target.is_real else _SIMULATOR_OPTIONS
    for name, value in target.options.items():
        if name not in known:
            raise UsageError(f"invalid setting for a replay on {target.on}: {name}")
        items = value if known[name] == (list,) and isinstance(value, list) else [value]
        types = (str,) if known[name] == (list,) else known[name]
        if not all(isinstance(item, types) and isinstance(item, bool) == (types == (bool,)) for item in items):
            raise UsageError(f"invalid {name}: {value}")
    settings = target.settings()
    if not target.is_real:
        Simulator(**settings)
    return target


def _needs(value: Any) -> dict[str, float]:
    """Parse what a target needs: a list of names, or a table of amounts."""
    amounts = dict.fromkeys(value, 1) if isinstance(value, list) and all(map(str, value)) else value
    if not isinstance(amounts, dict) or not all(type(amount) in (int, float) for amount in amounts.values()):
        raise UsageError(f"invalid needs: {value} (expected a list of names, or a table of amounts)")
    return {str(name): float(amount) for name, amount in amounts.items()}


def add_resources(targets: list[Target], text: str) -> list[Target]:
    """Return targets with a resource that some of them need.

    Args:
        targets: The targets.
        text: "GPU", "GPU=1" for all targets on thunks, or "PATTERN:GPU=1" for those whose name matches.

    Raises:
        UsageError: The text is invalid, or matches no target.
    """
    pattern, _, rest = text.rpartition(":")
    name, _, amount = rest.partition("=")
    try:
        number = float(amount or 1)
    except ValueError:
        number = 0
    if not name or number <= 0:
        raise UsageError(f"invalid --resources: {text} (expected NAME, NAME=NUMBER or TARGET:NAME=NUMBER)")
    chosen = [fnmatchcase(target.name, pattern) if pattern else target.is_real for target in targets]
    if not any(chosen):
        reason = f"no target matches {pattern}" if pattern else "no target is on thunks; TARGET:NAME names others"
        raise UsageError(f"invalid --resources: {text} ({reason})")
    return [
        replace(target, needs={**target.needs, name: number}) if is_chosen else target
        for target, is_chosen in zip(targets, chosen, strict=True)
    ]
