"""The system that this Python runs on, without the module `platform`.

On Windows, `platform.uname` runs `cmd /c ver`, which never ends under Wine 8.0, and `platform.node` and
`platform.machine` call it.
"""

from __future__ import annotations

import ctypes
import os
import sys

NT_BUILD_NUMBER = 0x7FFE0000 + 0x260
"""Address of the build number in the data that Windows and Wine share with all processes.

KUSER_SHARED_DATA.NtBuildNumber of ntddk.h, kit 10.0.26100.
"""


def machine() -> str:
    """Return the processor architecture of this Python: "x86_64" on all systems, otherwise the system's name for it."""
    if sys.platform != "win32":
        return os.uname().machine
    name = os.environ.get("PROCESSOR_ARCHITECTURE", "")
    return "x86_64" if name == "AMD64" else name


def describe_system() -> str:
    """Return the system and its build in one line."""
    if sys.platform == "win32":
        version = sys.getwindowsversion()
        return f"Windows {version.major}.{version.minor} build {version.build} {machine()}"
    names = os.uname()
    return f"{names.sysname} {names.release} {names.version} {names.machine}"


def windows_build() -> int | None:
    """Return the build of this Windows, such as 26100. Wine reports the build that it imitates. None elsewhere."""
    return ctypes.c_uint16.from_address(NT_BUILD_NUMBER).value if sys.platform == "win32" else None


def wine_version() -> str | None:
    """Return the version of Wine that this Windows Python runs under, None on Windows itself and on other systems."""
    if sys.platform != "win32":
        return None
    ntdll = ctypes.CDLL("ntdll")
    if not hasattr(ntdll, "wine_get_version"):
        return None
    ntdll.wine_get_version.restype = ctypes.c_char_p
    return bytes(ntdll.wine_get_version()).decode()
