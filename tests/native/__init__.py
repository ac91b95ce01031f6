"""C programs that tests build and meet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

FOLDER = Path(__file__).parent


def lacking(what: str) -> NoReturn:
    """Skip a test for what this machine lacks; in CI nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(f"CI lacks {what}")
    pytest.skip(f"there is no {what}")
