"""Commands on valid frames with hostile values: a fuzzer runs for two minutes in CI, for an hour in `make soak`.

A test run always makes the same traces, so that its outcome changes with the code only. A soak makes new ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import LINUX_PART

IS_SOAK = "TRACEKMT_SOAK" in os.environ
SECONDS = 3600 if IS_SOAK else 120 if "CI" in os.environ else 10
FUZZER = Path(__file__).parent / "structure.py"


@pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)
def test_hostile_values_in_valid_frames_give_plain_answers(tmp_path: Path) -> None:
    words = [sys.executable, str(FUZZER), str(tmp_path / "findings"), "--seconds", str(SECONDS)]
    words += [] if IS_SOAK else ["--seed", "25"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SECONDS + 60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 10 * SECONDS, done.stdout
