"""Reproducers as Windows programs, under Wine: on its own gdi32, and on a library of the tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tests.convert.programs import compiled, written
from tests.windows import FOLDER, compile_windows, wine_environment
from tracekmt.convert.c.output_target import read_back
from tracekmt.resources import resource
from tracekmt.trace.reader import Trace

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a program under Wine: its exit status, and what it printed."""
    environment = wine_environment(tmp_path_factory.mktemp("wine"))

    def run(program: Path, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            ["wine", program, *words],
            cwd=program.parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def read(trace: Path, printed: str, folder: Path) -> Trace:
    (folder / "repro.txt").write_text(printed, newline="")
    read_back(folder / "repro.txt", trace, folder / "outcome.kmt", force=True)
    return tracekmt.open(folder / "outcome.kmt")


def test_on_the_real_gdi32(wine: Run, tmp_path: Path) -> None:
    """Wine's own adapters and devices, whose handles are others than those of the trace."""
    trace = tmp_path / "trace.kmt"
    with tracekmt.create(trace) as made:
        made.add(
            "D3DKMTOpenAdapterFromGdiDisplayName",
            {"DeviceName": r"\\.\DISPLAY1"},
            {"hAdapter": 0x40000000, "AdapterLuid": {"LowPart": 0x1234}},
        )
        made.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
        made.add("D3DKMTDestroyDevice", {"hDevice": 0x40000040})
        made.add("D3DKMTDestroyDevice", {"hDevice": 0x40000040}, status="STATUS_INVALID_PARAMETER")
        made.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x1234}}, {"hAdapter": 0x40000080})
        made.add("D3DKMTCloseAdapter", {"hAdapter": 0x40000080})
        made.add("D3DKMTCloseAdapter", {"hAdapter": 0x40000000})
    status, printed = wine(compiled(written(trace, tmp_path), tmp_path / "repro.exe", "windows-x64"))
    assert (status, printed.count("DIFFERENT")) == (0, 0), printed
    with read(trace, printed, tmp_path) as answered:
        calls = list(answered.calls())
        assert answered.abi == "x64"
    assert calls[1].inputs["hAdapter"] == calls[0].outputs["hAdapter"] != 0x40000000  # type: ignore[index]
    assert calls[2].inputs["hDevice"] == calls[1].outputs["hDevice"]  # type: ignore[index]
    report = tracekmt.diff(trace, tmp_path / "outcome.kmt")
    assert (report.same, report.calls.compared) == (True, 7), report.findings


def test_on_a_library_of_our_own(wine: Run, tmp_path: Path) -> None:
    """Allocations, which this Wine does not have; adapter and device are Wine's."""
    trace = resource("traces", "stand-alone-allocation.kmt")
    compile_windows("x64", tmp_path / "thunks.dll", FOLDER / "thunks.c")
    program = compiled(written(trace, tmp_path), tmp_path / "repro.exe", "windows-x64")
    status, printed = wine(program, "thunks.dll", "gdi32.dll")
    assert (status, printed.count("DIFFERENT")) == (0, 0), printed
    with read(trace, printed, tmp_path) as answered:
        assert len(list(answered.calls())) == 6
    assert tracekmt.diff(trace, tmp_path / "outcome.kmt").same
    status, printed = wine(program, "thunks.dll")
    assert (status, printed.count("result missing")) == (1, 4)
    assert wine(program, "nothing.dll") == (2, printed.splitlines()[0] + "\n")
