"""A machine described in a TOML file:

profile = "windows"            # what it is taken from
system_memory = "16GB"

[[adapters]]
luid = [1, 0]
video_memory = "4GB"           # its own; shared_memory: of the machine's
wddm = 3000

[[drivers]]                    # how large an allocation is, by what its private data begin with
name = "a driver"
magic = "4b4d5453"
offset = 8
width = 8
unit = 1                       # bytes
alignment = 65536
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tracekmt.errors import UsageError
from tracekmt.text.toml import read_toml

KEYS = ("profile", "adapters", "system_memory", "video_memory", "drivers", "faults", "uniques")


def profile_settings(profile: str) -> dict[str, Any]:
    """The keywords of `Simulator` that a profile stands for: itself, or what its file holds."""
    return {"profile": "windows", **read_machine(Path(profile))} if profile.endswith(".toml") else {"profile": profile}


def read_machine(path: Path) -> dict[str, Any]:
    """The keywords of `Simulator` that a file holds; UsageError names what is wrong with it."""
    found = read_toml(path)
    for key in found:
        if key not in KEYS:
            raise UsageError(f"{path}: {key} is no setting of a machine; there are {', '.join(KEYS)}")
    return found
