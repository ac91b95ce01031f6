"""Reproducers that tests build, run and read back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.native import lacking
from tracekmt.convert import convert

COMPILERS = {
    "x64": ["gcc"],
    "x86": ["gcc", "-m32"],
    "windows-x64": ["x86_64-w64-mingw32-gcc"],
    "windows-x86": ["i686-w64-mingw32-gcc"],
}
STRICT = ["-Wall", "-Wextra", "-Werror"]


def written(trace: Path, folder: Path) -> Path:
    """The reproducer of a trace."""
    source = folder / f"{trace.stem}.c"
    convert(trace, source, "c", force=True)
    return source


def compiled(source: Path, output: Path, system: str = "x64", *options: str) -> Path:
    """A program or, by its ending, a library; skips where there is no compiler for the system."""
    compiler, *machine = COMPILERS[system]
    if shutil.which(compiler) is None:
        lacking(f"{compiler}, to build reproducers with")
    shared = ["-shared", "-fPIC"] if output.suffix == ".so" else []
    subprocess.run([compiler, *machine, *STRICT, *options, *shared, source, "-o", output], check=True)
    return output


def run(program: Path, *words: str | Path) -> tuple[int, str]:
    """The exit status of a program of this system, and what it printed."""
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout
