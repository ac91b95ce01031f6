"""The calling process as the target of a recording: a library with thunks, and scripts that record themselves."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CREATE, CLOSE = "D3DKMTCreateAllocation2", "D3DKMTCloseAdapter"
SECONDS = 120


@dataclass(frozen=True)
class Library:
    """A library that exports thunks.

    Attributes:
        path: Path of the library.
    """

    path: Path

    @property
    def module(self) -> str:
        """Its name for the recorder."""
        return self.path.name

    def load(self) -> ctypes.CDLL:
        """Load it into this process. It stays loaded."""
        return ctypes.CDLL(str(self.path))


def close_adapter(library: ctypes.CDLL, adapter: int) -> int:
    """Make a call that succeeds."""
    return int(library.D3DKMTCloseAdapter(ctypes.byref(ctypes.c_uint32(adapter))))


@dataclass(frozen=True)
class Outcome:
    """Exit status and output of a script."""

    status: int
    output: str


def run_script(script: str, folder: Path, library: Library, *arguments: Any) -> Outcome:
    """Run a Python script in a folder. It finds the path of the library in sys.argv[1].

    Its output goes to a file. Under Wine, Frida's helper process keeps a pipe open for half a minute.
    """
    program, output = folder / "script.py", folder / "script.txt"
    program.write_text(f"import ctypes, os, sys, threading\nimport tracekmt\nPATH = sys.argv[1]\n{script}", "utf-8")
    root = Path(__file__).parents[2]
    with output.open("wb") as file:
        run = subprocess.run(
            [sys.executable, str(program), str(library.path), *map(str, arguments)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "PYTHONPATH": str(root)},
            timeout=SECONDS,
            check=False,
        )
    return Outcome(run.returncode, output.read_text("utf-8", errors="replace"))
