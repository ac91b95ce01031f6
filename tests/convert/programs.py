"""Helpers that write, compile and run reproducers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.native import skip_without
from tracekmt.convert import convert

COMPILERS = {
    "x64": ["gcc"],
    "x86": ["gcc", "-m32"],
    "windows-x64": ["x86_64-w64-mingw32-gcc"],
    "windows-x86": ["i686-w64-mingw32-gcc"],
}
STRICT = ["-Wall", "-Wextra", "-Werror"]


def write_reproducer(trace: Path, folder: Path) -> Path:
    """Write the reproducer of all calls of a trace and return its path."""
    source = folder / f"{trace.stem}.c"
    convert(trace, source, "c", allow=["*"], force=True)
    return source


def compile_program(source: Path, output: Path, system: str = "x64", *options: str) -> Path:
    """Compile a program, or a library if the output is a .so. Skip the test if there is no compiler for the system."""
    compiler, *machine = COMPILERS[system]
    if shutil.which(compiler) is None:
        skip_without(f"{compiler}, to build reproducers with")
    shared = ["-shared", "-fPIC"] if output.suffix == ".so" else []
    subprocess.run([compiler, *machine, *STRICT, *options, *shared, source, "-o", output], check=True)
    return output


def run(program: Path, *words: str | Path) -> tuple[int, str]:
    """Run a program of this system. Return its exit status and its output."""
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout
