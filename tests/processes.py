"""Runs programs and captures their output."""

from __future__ import annotations

import subprocess
import tempfile
from typing import Any


def run_captured(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program with its output in files.

    A program may leave a process behind that keeps its pipes open, such as Frida's helper on Windows for half a minute.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        done = subprocess.run(words, stdout=output, stderr=errors, check=False, **options)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace").replace("\r\n", "\n"))
    return subprocess.CompletedProcess(done.args, done.returncode, *texts)
