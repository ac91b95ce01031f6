"""Reproducers as Windows programs under Wine, on the gdi32 of Wine and on a library of the tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tests.convert.programs import compile_program, write_reproducer
from tests.windows import FOLDER, compile_windows, wine_environment
from tracekmt.convert.c.output_target import read_back
from tracekmt.resources import resource
from tracekmt.trace.reader import Trace

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a program under Wine and returns its exit status and output."""
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


def test_gdi32_of_wine(wine: Run, tmp_path: Path) -> None:
    """Wine's own adapters and devices have other handles than the trace."""
    trace = tmp_path / "trace.kmt"
    with tracekmt.create(trace) as builder:
        builder.add(
            "D3DKMTOpenAdapterFromGdiDisplayName",
            {"DeviceName": r"\\.\DISPLAY1"},
            {"hAdapter": 0x40000000, "AdapterLuid": {"LowPart": 0x1234}},
        )
        builder.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
        builder.add("D3DKMTDestroyDevice", {"hDevice": 0x40000040})
        builder.add("D3DKMTDestroyDevice", {"hDevice": 0x40000040}, status="STATUS_INVALID_PARAMETER")
        builder.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x1234}}, {"hAdapter": 0x40000080})
        builder.add("D3DKMTCloseAdapter", {"hAdapter": 0x40000080})
        builder.add("D3DKMTCloseAdapter", {"hAdapter": 0x40000000})
    status, printed = wine(compile_program(write_reproducer(trace, tmp_path), tmp_path / "repro.exe", "windows-x64"))
    assert (status, printed.count("DIFFERENT")) == (0, 0), printed
    with read(trace, printed, tmp_path) as outcome_trace:
        calls = list(outcome_trace.calls())
        assert outcome_trace.abi == "x64"
    assert calls[1].inputs["hAdapter"] == calls[0].outputs["hAdapter"] != 0x40000000  # type: ignore[index]
    assert calls[2].inputs["hDevice"] == calls[1].outputs["hDevice"]  # type: ignore[index]
    report = tracekmt.diff(trace, tmp_path / "outcome.kmt")
    assert (report.same, report.calls.compared) == (True, 7), report.findings


def test_library_of_the_tests(wine: Run, tmp_path: Path) -> None:
    """The library has the allocations, which this Wine lacks. Adapter and device are from Wine."""
    trace = resource("traces", "stand-alone-allocation.kmt")
    compile_windows("x64", tmp_path / "thunks.dll", FOLDER / "thunks.c")
    program = compile_program(write_reproducer(trace, tmp_path), tmp_path / "repro.exe", "windows-x64")
    status, printed = wine(program, "thunks.dll", "gdi32.dll")
    assert (status, printed.count("DIFFERENT")) == (0, 0), printed
    with read(trace, printed, tmp_path) as outcome_trace:
        assert len(list(outcome_trace.calls())) == 6
    assert tracekmt.diff(trace, tmp_path / "outcome.kmt").same
    status, printed = wine(program, "thunks.dll")
    assert (status, printed.count("result missing")) == (1, 4)
    assert wine(program, "nothing.dll") == (2, printed.splitlines()[0] + "\n")
