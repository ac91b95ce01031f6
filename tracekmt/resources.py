"""Files that belong to the package but are not Python: beside it in an installation, above it in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def resource(folder: str, name: str = "") -> Path:
    """The path of a file of `hooks`, `pages`, `reproducer` or `traces`."""
    inside = _PACKAGE / folder
    return (inside if inside.is_dir() else _PACKAGE.parent / folder) / name
