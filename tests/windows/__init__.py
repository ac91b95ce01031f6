"""Windows programs that tests build with MinGW and run under Wine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.native import skip_without

FOLDER = Path(__file__).parent
COMPILERS = {"x64": "x86_64-w64-mingw32-gcc", "x86": "i686-w64-mingw32-gcc"}


def compile_windows(abi: str, output: Path, *sources: Path | str) -> Path:
    """Build a Windows program or library, by the ending of `output`. Skip the test without MinGW."""
    compiler = shutil.which(COMPILERS[abi])
    if compiler is None:
        skip_without(COMPILERS[abi])
    # Windows libraries export 32-bit functions without the size of the parameters in their names.
    shared = ["-shared", "-Wl,--kill-at"] if output.suffix == ".dll" else []
    subprocess.run([compiler, "-O1", "-s", "-Wall", "-Wextra", *shared, "-o", output, *sources], check=True)
    return output


def wine_environment(prefix: Path) -> dict[str, str]:
    """Create a Wine prefix and return the environment to use it. Skip the test without Wine."""
    if shutil.which("wine") is None:
        skip_without("wine")
    environment = {**os.environ, "WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "DISPLAY": ""}
    subprocess.run(["wine", "wineboot", "-i"], env=environment, check=True, capture_output=True, timeout=180)
    return environment
