"""Self-test: records and replays small programs and packs the results for a bug report."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tracekmt
from tracekmt.demo import program as demo
from tracekmt.doctor import windows_probe as probe
from tracekmt.doctor.checks import examine_machine
from tracekmt.errors import Error, RecordError
from tracekmt.findings import Report
from tracekmt.plural import plural
from tracekmt.record.handover import HandOver
from tracekmt.record.session import Recording
from tracekmt.replayer.engine import replay
from tracekmt.system import describe_system, wine_version
from tracekmt.trace.writer import refuse_existing
from tracekmt.version import VERSION

WINE_SECONDS = 120
PROBES = ("gdi32", "windows", "wine")
"""Parts that make the calls of the probe."""


@dataclass
class Part:
    """Result of one program.

    Attributes:
        name: Name of the program, and of its files in the zip file.
        calls: Recorded calls.
        same: True if the replay has no differences.
        problem: Reason why the part failed, if it did.
    """

    name: str
    calls: int = 0
    same: bool = False
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """True if the program was recorded and replayed without differences."""
        return self.problem is None and self.same


def selftest(output: Path, *, force: bool, say: Callable[[str], None]) -> bool:
    """Record and replay every program that can run here, and pack traces, reports and versions into a zip file.

    Args:
        output: Path of the zip file.
        force: True to overwrite an existing file.
        say: Prints a line about the progress.

    Returns:
        True if every part is ok.

    Raises:
        UsageError: The output file exists.
    """
    refuse_existing(output, force=force)
    parts: list[Part] = []
    with tempfile.TemporaryDirectory(prefix="tracekmt-selftest-") as scratch:
        folder = Path(scratch)
        for part, record in _programs(folder):
            _run_part(part, record, folder, say)
            parts.append(part)
        with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("summary.json", json.dumps(_summary(parts), indent=1))
            for path in sorted(folder.glob("*.kmt")) + sorted(folder.glob("*.json")):
                archive.write(path, path.name)
    return bool(parts) and all(part.ok for part in parts)


def _run_part(part: Part, record: Callable[[Path], int], folder: Path, say: Callable[[str], None]) -> None:
    say(f"{part.name}: recording")
    trace = folder / f"{part.name}.kmt"
    try:
        part.calls = record(trace)
        report = replay(trace)
        part.same = report.same
        (folder / f"{part.name}.json").write_text(json.dumps(report.to_dict(), indent=1))
        part.problem = _problem(part, report)
    except Error as error:
        part.problem = str(error)
    calls = plural(part.calls, "call")
    say(f"{part.name}: {part.problem or f'{calls}, replayed without differences'}")


def _programs(folder: Path) -> Iterator[tuple[Part, Callable[[Path], int]]]:
    """Yield the programs that can run here, each with a function that records it and returns its number of calls.

    The program in this process is recorded without injection, which a system may refuse.
    """
    yield Part("own"), lambda trace: _record_own(trace, folder)
    if sys.platform == "win32":
        yield Part("gdi32"), _record_gdi32
    if wine_version() is not None:
        return
    yield Part("native"), lambda trace: _record_native(trace, folder)
    if sys.platform == "win32":
        yield Part("windows"), lambda trace: _record_probe(trace, folder, [])
    elif shutil.which("wine") is not None:
        yield Part("wine"), lambda trace: _record_under_wine(trace, folder)


def _problem(part: Part, report: Report) -> str | None:
    if not part.calls:
        return "no call was recorded"
    if part.name in PROBES and part.calls != len(probe.CALLS):
        return f"{part.calls} of {len(probe.CALLS)} calls were recorded"
    if report.same:
        return None
    return f"{plural(report.differing, 'call')} {'differs' if report.differing == 1 else 'differ'} in the replay"


def _record_own(trace: Path, folder: Path) -> int:
    """Play the demonstration's program in this process and record it."""
    table = HandOver(folder / "own.table")
    thunks = demo.offer(table)
    with tracekmt.recording(trace, thunks=table.path) as progress:
        demo.play(thunks, say=lambda line: None)
    return progress.calls


def _record_gdi32(trace: Path) -> int:
    """Make the calls of the probe on the real gdi32 in this process and record them."""
    with tracekmt.recording(trace) as progress:
        probe.call_gdi32()
    return progress.calls


def _record_native(trace: Path, folder: Path) -> int:
    """Record the demonstration's program, which has a simulated graphics kernel behind C addresses."""
    table = folder / "thunks.table"
    command = [sys.executable, "-m", "tracekmt.demo.program", str(table)]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        recording = Recording(trace, hand_over=table)
        recording.attach(program.pid)
        return recording.run().calls
    finally:
        program.kill()
        program.wait()


def _record_under_wine(trace: Path, folder: Path) -> int:
    with _wine_prefix(folder):
        return _record_probe(trace, folder, ["wine"])


def _record_probe(trace: Path, folder: Path, runner: Sequence[str]) -> int:
    """Record the probe on the real gdi32 of Windows or of Wine."""
    path = folder / "probe.exe"
    path.write_bytes(probe.program())
    recording = Recording(trace)
    recording.spawn([*runner, str(path)])
    return recording.run().calls


@contextlib.contextmanager
def _wine_prefix(folder: Path) -> Iterator[None]:
    """Select the user's Wine prefix if there is one, or create a temporary one."""
    saved = {name: os.environ.get(name) for name in ("WINEPREFIX", "WINEDEBUG")}
    user_prefix = Path(saved["WINEPREFIX"] or Path.home() / ".wine")
    prefix = user_prefix if (user_prefix / "system.reg").exists() else folder / "prefix"
    os.environ.update(WINEPREFIX=str(prefix), WINEDEBUG="-all")
    try:
        if prefix != user_prefix:
            subprocess.run(["wine", "wineboot", "-i"], check=True, capture_output=True, timeout=WINE_SECONDS)
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise RecordError(f"cannot start Wine: {error}") from None
    finally:
        if prefix != user_prefix:
            subprocess.run(["wineserver", "-k"], check=False, capture_output=True)
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _summary(parts: list[Part]) -> dict[str, Any]:
    return {
        "tracekmt": VERSION,
        "frida": importlib.metadata.version("frida"),
        "python": platform.python_version(),
        "system": describe_system(),
        "wine": wine_version() or _installed_wine(),
        "checks": [check.to_dict() for check in examine_machine()],
        "parts": [{**asdict(part), "ok": part.ok} for part in parts],
    }


def _installed_wine() -> str | None:
    """Return the version of the Wine of this Linux, None without one."""
    if sys.platform == "win32" or shutil.which("wine") is None:
        return None
    result = subprocess.run(["wine", "--version"], check=False, capture_output=True, text=True)
    return result.stdout.strip() or None
