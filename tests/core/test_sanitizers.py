"""The core reads hostile recordings and traces without a memory error, which the compiler's sanitizers would find."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.native import skip_without
from tests.skips import LINUX_PART
from tracekmt import core

SECONDS = 300 if "TRACEKMT_SOAK" in os.environ else 10 if "CI" in os.environ else 3
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


@pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)
def test_hostile_events_and_values(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        skip_without("gcc, to build the core with sanitizers")
    sources, library = sorted(map(str, Path(core.__file__).parent.glob("*.c"))), tmp_path / "_core.abi3.so"
    include = f"-I{sysconfig.get_path('include')}"
    words = [compiler, "-O1", "-g", *SANITIZERS, "-shared", "-fPIC", '-DCORE_SOURCE=""', include]
    subprocess.run([*words, *sources, "-o", str(library)], check=True)
    runtimes = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    # Python does not free everything at its end, and its own allocator would hide errors.
    variables = {"LD_PRELOAD": ":".join(runtimes), "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.hostile_events", str(library), str(SECONDS)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 60,
    )
    assert done.returncode == 0, done.stderr
    framed, decoded, read = map(int, done.stdout.split())
    assert framed > 10 * SECONDS, "a busy machine frames a hundred a second"
    assert decoded > 10 * SECONDS
    assert read > 10 * SECONDS
