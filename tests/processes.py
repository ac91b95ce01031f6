"""Runs programs and captures their output."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any


def run_captured(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program with its output in files.

    A program may leave a process behind that keeps its pipes open, such as Frida's helper on Windows for half a minute.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        files = [Path(folder) / name for name in ("output", "errors")]
        with files[0].open("wb") as output, files[1].open("wb") as errors:
            done = subprocess.run(words, stdout=output, stderr=errors, check=False, **options)
        texts = [file.read_text("utf-8", errors="replace") for file in files]
    return subprocess.CompletedProcess(done.args, done.returncode, *texts)
