"""A program that runs on the simulator, and its library."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.native import compile_simulated, skip_without
from tests.skips import LINUX_PART


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
    """Return the program, with a library whose functions only return a status."""
    if sys.platform != "linux":
        pytest.skip(LINUX_PART)
    if shutil.which("gcc") is None:
        skip_without("gcc")
    return Program(*compile_simulated(tmp_path_factory.mktemp("simulated")))
