"""The example of docs/howto-add-a-call.md is the code of the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("path", ["tracekmt/calls/overlay.py", "tracekmt/simulator/rules/overlay.py"])
def test_the_example_is_the_code(path: str) -> None:
    """The page leaves out functions. The lines that it shows are those of the file, in their order."""
    page = (ROOT / "docs" / "howto-add-a-call.md").read_text("utf-8")
    example = re.search(rf"`{re.escape(path)}`[^\n]*:\n\n```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    code = iter((ROOT / path).read_text("utf-8").splitlines())
    missing = [line for line in example[1].splitlines() if "import" not in line and line not in code]
    assert missing == []
