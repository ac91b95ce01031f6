"""Whole programs that draw under Wine, on a virtual display."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tracekmt
from tests.native import skip_without
from tests.skips import LINUX_PROGRAMS
from tests.windows import FOLDER, compile_windows, wine_environment
from tracekmt.record.session import Recording

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PROGRAMS)

LIBRARIES = {"direct3d9": ["-ld3d9", "-lgdi32"], "opengl": ["-lopengl32", "-lgdi32"]}
EXPECTED = {
    "direct3d9": {"D3DKMTCreateDevice", "D3DKMTCreateDCFromMemory", "D3DKMTDestroyDCFromMemory", "D3DKMTDestroyDevice"},
    "opengl": {"D3DKMTCreateDCFromMemory", "D3DKMTDestroyDCFromMemory"},
}


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """Start an X server without a screen, on a free display."""
    if shutil.which("Xvfb") is None:
        skip_without("Xvfb")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24"],
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with open(read, "rb") as numbers:
        number = numbers.readline().decode().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, display: str) -> dict[str, str]:
    return {**wine_environment(tmp_path_factory.mktemp("wine")), "DISPLAY": display}


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_call_of_a_program_that_draws_is_described(
    name: str, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that the program's libraries make. The trace replays without a difference."""
    program = compile_windows("x64", tmp_path / f"{name}.exe", FOLDER / f"{name}.c", *LIBRARIES[name])
    trace = tmp_path / f"{name}.kmt"
    for variable in ("WINEPREFIX", "WINEDEBUG", "DISPLAY"):
        monkeypatch.setenv(variable, environment[variable])
    recording = Recording(trace)
    recording.spawn(["wine", str(program)])
    recording.run()
    assert recording.progress.exit_status == 0, recording.progress.ended
    assert recording.progress.undescribed == {}
    with tracekmt.open(trace) as opened:
        assert EXPECTED[name] <= {call.name for call in opened.calls()}
    assert tracekmt.replay(trace).same
