"""A library with a small kernel, on which traces are replayed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.native import FOLDER, compile_library
from tracekmt.findings import Report


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the kernel of the tests; see kernel.c."""
    return compile_library(tmp_path_factory.mktemp("kernel") / "libkernel.so", FOLDER / "kernel.c")


class Kernel:
    """The library, its faults, and its log."""

    def __init__(self, library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.library = library
        self._log = folder / "kernel.log"
        self._environment = monkeypatch
        monkeypatch.setenv("KERNEL_LOG", str(self._log))
        monkeypatch.setenv("KERNEL_ONCE", str(folder / "once"))

    def order(self, fault: str) -> None:
        """Inject a fault at call N of a function: FUNCTION:N:FAULT."""
        self._environment.setenv("KERNEL_DO", fault)

    def replay(self, trace: Path, **settings: Any) -> Report:
        return tracekmt.replay(trace, on=f"thunks:{self.library}", **settings)

    @property
    def log(self) -> list[tuple[str, int]]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    @property
    def living(self) -> int:
        """Number of live objects, as counted by the library."""
        return [number for event, number in self.log if event == "live"][-1]

    @property
    def sent(self) -> Counter[str]:
        return Counter(event for event, _ in self.log)


@pytest.fixture
def kernel(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(library, tmp_path, monkeypatch)
