"""C programs that tests build and run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

FOLDER = Path(__file__).parent


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
