"""The code is clean by its own rules, and the README's commands are those that CI runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


CHECKS = (
    ["ruff", "check"],
    ["ruff", "format", "--check"],
    ["mypy"],
    # Names that only this system has would fail at import on Windows.
    ["mypy", "--platform", "win32", "tracekmt"],
)


@pytest.mark.parametrize("words", CHECKS, ids=" ".join)
def test_clean(words: list[str]) -> None:
    if importlib.util.find_spec(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    result = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_readme_has_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()[:40]
    commands = [line for line in lines if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("tracekmt demo")
    assert commands[1].endswith("-m pytest")


def test_the_changelog_knows_the_version() -> None:
    version = (ROOT / "tracekmt" / "version.py").read_text("utf-8").split('"')[-2]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
