"""Machine files, in TOML:

profile = "windows"            # the base profile
system_memory = "16GB"

[[adapters]]
luid = [1, 0]                  # LowPart, HighPart
video_memory = "4GB"           # dedicated; shared_memory is the limit on the machine's memory
wddm = 3000                    # the driver model times 1000

[[drivers]]                    # size of an allocation in private data
name = "a driver"
magic = "4b4d5453"             # first bytes of the private data, in hex
offset = 8
width = 8
unit = 1                       # bytes
alignment = 65536

[assumptions]                  # statuses that no source defines; "FUNCTION: RULE" for any rule
free_part_of_range = "STATUS_SUCCESS"
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tracekmt.errors import UsageError
from tracekmt.text.toml import read_toml

KEYS = (
    "profile",
    "adapters",
    "system_memory",
    "video_memory",
    "drivers",
    "faults",
    "uniques",
    "list_capacity",
    "paging",
    "device_error_flag",
    "assumptions",
)


def profile_settings(profile: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the keywords of `Simulator` for a profile.

    Args:
        profile: Name of a profile, or path of a machine file that ends in ".toml".

    Raises:
        UsageError: The file cannot be read, or has an unknown setting.
    """
    if isinstance(profile, (str, os.PathLike)) and os.fspath(profile).endswith(".toml"):
        return {"profile": "windows", **read_machine(Path(profile))}
    return {"profile": profile}


def read_machine(path: Path) -> dict[str, Any]:
    """Read the keywords of `Simulator` from a machine file.

    Raises:
        UsageError: The file cannot be read, or has an unknown setting.
    """
    settings = read_toml(path)
    for key in settings:
        if key not in KEYS:
            raise UsageError(f"{path}: unknown machine setting: {key} (expected one of {', '.join(KEYS)})")
    return settings
