"""C programs that tests build and run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

FOLDER = Path(__file__).parent


def skip_without(requirement: str) -> NoReturn:
    """Skip a test that requires a missing program. In CI the test fails."""
    if os.environ.get("CI"):
        pytest.fail(f"CI lacks {requirement}")
    pytest.skip(f"requires {requirement}")
