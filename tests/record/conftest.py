from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.record.client import Client


@pytest.fixture
def client(native: Path, tmp_path: Path) -> Client:
    return Client(native, tmp_path)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = set(Path("/dev/shm").glob(f"tracekmt-{os.getpid()}-*"))
    yield
    assert set(Path("/dev/shm").glob(f"tracekmt-{os.getpid()}-*")) == before
