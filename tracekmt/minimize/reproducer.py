"""Tries a reproducer: compiles the C program, and runs it on the target of the reduction."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tracekmt.errors import Error
from tracekmt.trace.reader import Trace

SECONDS = 60.0
_DIFFERENCES = {0: "it shows no difference", 1: "it shows the difference"}


def try_reproducer(
    trace: Path, source: Path, *, library: Path | None = None, settings: Mapping[str, Any] | None = None
) -> str:
    """Compile a reproducer and run it. Return the outcome in words.

    Args:
        trace: The trace that it was made from.
        source: The C program.
        library: Library with the thunks that it is to call.
        settings: Settings of a simulator that answers its calls, without a library.
    """
    if shutil.which("gcc") is None:
        return "not tried: there is no gcc"
    with TemporaryDirectory(prefix="tracekmt-") as name:
        folder = Path(name)
        try:
            program = _compile(["-x", "c", source], folder / "reproducer")
            if library is not None:
                return _outcome(_run([program, library.absolute()]))
            if sys.platform != "linux":
                return "it compiles; not tried: programs run on the simulator on Linux only"
            return _outcome(_simulate(trace, program, folder, settings or {}))
        except (subprocess.SubprocessError, OSError, Error) as error:
            return f"not tried: {error}"


def _outcome(status: int) -> str:
    return _DIFFERENCES.get(status, f"it ended with status {status}")


def _compile(arguments: list[Any], output: Path) -> Path:
    run = subprocess.run(
        ["gcc", "-O1", "-w", *arguments, "-o", output], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if run.returncode:
        raise Error(f"gcc: {run.stderr.strip().splitlines()[0] if run.stderr.strip() else run.returncode}")
    return output


def _run(words: list[Any]) -> int:
    quiet = subprocess.DEVNULL
    return subprocess.run(words, stdout=quiet, stderr=quiet, timeout=SECONDS, check=False).returncode


def _simulate(trace: Path, program: Path, folder: Path, settings: Mapping[str, Any]) -> int:
    """Run the program on a simulator of the machine of the trace, with a library whose functions are all answered."""
    names, source = [], folder / "library.c"
    with Trace(trace) as opened:
        names = sorted({call.name for call in opened.specs.values()})
    source.write_text("".join(f"int {name}(void) {{ return -1; }}\n" for name in names), "utf-8")
    library = _compile(["-shared", "-fPIC", source], folder / "libreproduced.so")
    options = [word for name, value in settings.items() for word in _option(name, value)]
    words = [sys.executable, "-m", "tracekmt", "run", "--like", trace, "--module", library.name, *options]
    return _run([*words, "--", program, library])


def _option(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    option = {"faults": "fail"}.get(name, name).replace("_", "-")
    values = value if isinstance(value, (list, tuple)) else [value]
    return [word for each in values for word in (f"--{option}", str(each))]
