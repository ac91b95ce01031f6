"""Windows programs that tests build with MinGW, and the Wine that runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.native import lacking

FOLDER = Path(__file__).parent
COMPILERS = {"x64": "x86_64-w64-mingw32-gcc", "x86": "i686-w64-mingw32-gcc"}


def compile_windows(abi: str, output: Path, *sources: Path | str) -> Path:
    """A program or library (by its ending) for Windows; skips where there is no MinGW."""
    compiler = shutil.which(COMPILERS[abi])
    if compiler is None:
        lacking(f"{COMPILERS[abi]}, to build Windows programs with")
    # 32-bit functions have their own names, as in Windows' libraries, and not the size of their parameters behind it.
    shared = ["-shared", "-Wl,--kill-at"] if output.suffix == ".dll" else []
    subprocess.run([compiler, "-O1", "-s", "-Wall", "-Wextra", *shared, "-o", output, *sources], check=True)
    return output


def wine_environment(prefix: Path) -> dict[str, str]:
    """The environment of a Wine of the tests' own, made ready; skips where there is none."""
    if shutil.which("wine") is None:
        lacking("wine, to run Windows programs with")
    environment = {**os.environ, "WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "DISPLAY": ""}
    subprocess.run(["wine", "wineboot", "-i"], env=environment, check=True, capture_output=True, timeout=180)
    return environment
