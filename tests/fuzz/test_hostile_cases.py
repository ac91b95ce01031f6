"""Attacks on readers of traces: plain errors, without contents of the file that a terminal or a CI log would obey."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[3] / "shared" / "cases" / "hostile"
COMMANDS = (("check",), ("replay",), ("replay", "--together"), ("info",))


@pytest.mark.skipif(not CASES.exists(), reason="the hostile cases are not part of a clone")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", ["args-noargs", "desc-chars-neg", "desc-overlay-noarms", "inj-header"])
def test_a_hostile_trace_gives_a_plain_answer(name: str, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tracekmt", *words, str(CASES / f"{name}.kmt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 1, 2)
    assert "internal error" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    for line in (done.stdout + done.stderr).splitlines():
        assert line.isprintable()
        assert not line.startswith("::")
