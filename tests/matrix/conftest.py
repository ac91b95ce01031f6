"""Fixtures of the tests of matrices."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.traces import write_traces
from tests.native import FOLDER, compile_library

Matrix = Callable[..., subprocess.CompletedProcess[str]]

TARGETS = {
    "windows": "",
    "wsl": 'profile = "wsl"',
    "wine": 'profile = "wine"',
    "wddm1": 'profile = "wddm1"',
    "1 MB": 'video_memory = "1MB"',
    "no second device": 'fail = ["CreateDevice@2=STATUS_NO_MEMORY"]',
}


@pytest.fixture(scope="session")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with traces, some with differences."""
    return write_traces(tmp_path_factory.mktemp("matrix") / "traces", 4)


@pytest.fixture
def folder(traces: Path, tmp_path: Path) -> Path:
    """Return the folder in which `command` runs, with traces and a matrix file of six targets."""
    shutil.copytree(traces, tmp_path / "traces")
    tables = (f'[[targets]]\nname = "{name}"\n{setting}\n' for name, setting in TARGETS.items())
    (tmp_path / "matrix.toml").write_text("\n".join(['traces = ["traces/*.kmt"]', *tables]))
    return tmp_path


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library of kernel.c, whose calls fail or hang on request."""
    return compile_library(tmp_path_factory.mktemp("kernel") / "libkernel.so", FOLDER / "kernel.c")


def table(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows
