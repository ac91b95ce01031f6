"""Files of the package that are not Python. They are inside it when installed, and beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def resource(folder: str, name: str = "") -> Path:
    """Return the path of a file in `docs/atlas`, `hooks`, `pages`, `reproducer` or `traces`."""
    inside = _PACKAGE / folder
    return (inside if inside.is_dir() else _PACKAGE.parent / folder) / name
