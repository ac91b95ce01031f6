"""A program that runs on the simulator, and its library."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.native import FOLDER, skip_without
from tests.skips import LINUX_PART

SOURCE = FOLDER / "simulated.c"
LIBRARY_STATUS = 113
"""What the functions of the library return, which the simulator is to answer."""


@dataclass(frozen=True)
class Program:
    """The program, which checks the simulator's answers.

    Attributes:
        path: Its path.
        library: Path of the library with the thunks.
    """

    path: Path
    library: Path

    def argv(self, *arguments: str) -> list[str]:
        return [str(self.path), str(self.library), *arguments]

    @property
    def options(self) -> list[str]:
        """Options of `tracekmt run`."""
        return ["--module", self.library.name]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Return the program, with a library whose functions only return LIBRARY_STATUS."""
    if sys.platform != "linux":
        pytest.skip(LINUX_PART)
    if shutil.which("gcc") is None:
        skip_without("gcc")
    folder = tmp_path_factory.mktemp("simulated")
    path, library, source = folder / "simulated", folder / "libsimulated.so", folder / "library.c"
    names = sorted(set(re.findall(r'"(D3DKMT\w+)"', SOURCE.read_text("utf-8"))))
    functions = [f"int {name}(void) {{ return {LIBRARY_STATUS}; }}\n" for name in names]
    source.write_text("".join(functions) + "int library_function(int n) { return 2 * n; }\n")
    options = ["gcc", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*options, "-shared", "-fPIC", source, "-o", library], check=True)
    subprocess.run([*options, SOURCE, "-o", path, "-ldl", "-lpthread"], check=True)
    return Program(path, library)
