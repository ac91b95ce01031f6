from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.record.client import Client
from tests.record.own import Library
from tests.windows import compile_hard
from tracekmt.record.buffer.shared_buffer import default_folder


@pytest.fixture(scope="session")
def thunks_library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Return a library with thunks for this process to load."""
    if sys.platform == "win32":
        return Library(compile_hard(tmp_path_factory.mktemp("hard")))
    native: Path = request.getfixturevalue("native")
    return Library(native / "libdxcore.so")


@pytest.fixture
def client(native: Path, tmp_path: Path) -> Client:
    return Client(native, tmp_path)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = set(default_folder().glob(f"tracekmt-{os.getpid()}-*"))
    yield
    assert set(default_folder().glob(f"tracekmt-{os.getpid()}-*")) == before
