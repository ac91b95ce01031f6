"""C programs that tests build and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

FOLDER = Path(__file__).parent

LIBRARY_STATUS = 113
"""What the functions of the library of simulated.c return. The simulator answers instead."""


def compile_library(output: Path, source: Path) -> Path:
    """Build a library of thunks for the system of the tests."""
    if sys.platform == "win32":
        from tests.windows import compile_windows

        return compile_windows("x64", output, source)
    compiler = shutil.which("gcc")
    if compiler is None:
        skip_without("gcc, to build the tests' library with")
    subprocess.run([compiler, "-O1", "-w", "-shared", "-fPIC", "-o", output, source], check=True)
    return output


def skip_without(requirement: str) -> NoReturn:
    """Skip a test that requires a missing program. In CI the test fails."""
    if os.environ.get("CI"):
        pytest.fail(f"CI lacks {requirement}")
    pytest.skip(f"requires {requirement}")


def compile_simulated(folder: Path) -> tuple[Path, Path]:
    """Compile simulated.c, and a library with its thunks. Return their paths."""
    source, exports = FOLDER / "simulated.c", folder / "library.c"
    program, library = folder / "simulated", folder / "libsimulated.so"
    names = sorted(set(re.findall(r'"(D3DKMT\w+)"', source.read_text("utf-8"))))
    functions = [f"int {name}(void) {{ return {LIBRARY_STATUS}; }}\n" for name in names]
    exports.write_text("".join(functions) + "int library_function(int n) { return 2 * n; }\n", "utf-8")
    options = ["gcc", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*options, "-shared", "-fPIC", exports, "-o", library], check=True)
    subprocess.run([*options, source, "-o", program, "-ldl", "-lpthread"], check=True)
    return program, library
