"""Whether recording and replaying work on a machine: shown on small programs, and packed for who is to look at it."""

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

from tracekmt.doctor import windows_probe as probe
from tracekmt.doctor.checks import examine_machine
from tracekmt.errors import Error, RecordError, UsageError
from tracekmt.findings import Report
from tracekmt.record.session import Recording
from tracekmt.replayer.engine import replay
from tracekmt.version import VERSION

WINE_SECONDS = 120


@dataclass
class Part:
    """One program of the self-test: how many calls were recorded of it, and whether their replay is the same. problem:
    why not."""

    name: str
    calls: int = 0
    same: bool = False
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether all of it worked."""
        return self.problem is None and self.same


def selftest(output: Path, *, force: bool, say: Callable[[str], None]) -> bool:
    """Record and replay every program that can run here, and pack traces, reports and versions into a zip file. Whether
    all of it worked."""
    if output.exists() and not force:
        raise UsageError(f"{output}: exists already; -f overwrites it")
    parts: list[Part] = []
    with tempfile.TemporaryDirectory(prefix="tracekmt-selftest-") as scratch:
        folder = Path(scratch)
        for part, record in _programs(folder):
            say(f"{part.name}: recording")
            trace = folder / f"{part.name}.kmt"
            try:
                part.calls = record(trace)
                report = replay(trace)
                part.same = report.same
                (folder / f"{part.name}.json").write_text(json.dumps(report.to_dict(), indent=1))
                part.problem = _expected(part, report)
            except Error as error:
                part.problem = str(error)
            say(f"{part.name}: {part.problem or f'{part.calls} calls, their replay is the same'}")
            parts.append(part)
        with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("summary.json", json.dumps(_summary(parts), indent=1))
            for path in sorted(folder.glob("*.kmt")) + sorted(folder.glob("*.json")):
                packed.write(path, path.name)
    return bool(parts) and all(part.ok for part in parts)


def _programs(folder: Path) -> Iterator[tuple[Part, Callable[[Path], int]]]:
    """The programs that can run here, each with what records it and gives the number of its calls."""
    yield Part("native"), lambda trace: _native(trace, folder)
    if sys.platform == "win32":
        yield Part("windows"), lambda trace: _probe(trace, folder, [])
    elif shutil.which("wine") is not None:
        yield Part("wine"), lambda trace: _under_wine(trace, folder)


def _expected(part: Part, report: Report) -> str | None:
    if not part.calls:
        return "no call was recorded"
    if part.name != "native" and part.calls != len(probe.CALLS):
        return f"{part.calls} calls were recorded of {len(probe.CALLS)}"
    return None if report.same else f"{report.differing} calls are replayed otherwise"


def _native(trace: Path, folder: Path) -> int:
    """The demonstration's program: a simulated graphics kernel behind C addresses."""
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


def _under_wine(trace: Path, folder: Path) -> int:
    with _wine(folder):
        return _probe(trace, folder, ["wine"])


def _probe(trace: Path, folder: Path, runner: Sequence[str]) -> int:
    """The probe, on the real gdi32 of Windows or of Wine."""
    path = folder / "probe.exe"
    path.write_bytes(probe.program())
    recording = Recording(trace)
    recording.spawn([*runner, str(path)])
    return recording.run().calls


@contextlib.contextmanager
def _wine(folder: Path) -> Iterator[None]:
    """The user's own Wine where there is one, or a new one for this alone."""
    kept = {name: os.environ.get(name) for name in ("WINEPREFIX", "WINEDEBUG")}
    own = Path(kept["WINEPREFIX"] or Path.home() / ".wine")
    prefix = own if (own / "system.reg").exists() else folder / "prefix"
    os.environ.update(WINEPREFIX=str(prefix), WINEDEBUG="-all")
    try:
        if prefix != own:
            subprocess.run(["wine", "wineboot", "-i"], check=True, capture_output=True, timeout=WINE_SECONDS)
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise RecordError(f"Wine does not start: {error}") from None
    finally:
        if prefix != own:
            subprocess.run(["wineserver", "-k"], check=False, capture_output=True)
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _summary(parts: list[Part]) -> dict[str, Any]:
    return {
        "tracekmt": VERSION,
        "frida": importlib.metadata.version("frida"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "wine": _wine_version(),
        "checks": [asdict(check) for check in examine_machine()],
        "parts": [{**asdict(part), "ok": part.ok} for part in parts],
    }


def _wine_version() -> str | None:
    if shutil.which("wine") is None:
        return None
    told = subprocess.run(["wine", "--version"], check=False, capture_output=True, text=True)
    return told.stdout.strip() or None
