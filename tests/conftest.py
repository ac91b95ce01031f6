"""Shared fixtures."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import tracekmt
from tests.native import FOLDER, skip_without
from tests.processes import run_captured
from tests.record.walker import Compiled, build
from tests.skips import LINUX_PROGRAMS, pytest_sessionfinish, pytest_terminal_summary  # noqa: F401 (hooks)
from tracekmt import core
from tracekmt.resources import resource
from tracekmt.trace.writer import Writer

pytest_plugins = ["pytester"]

BROWSER_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=3000"),
)

# A background job of a shell ignores Ctrl-C, and its children inherit that. Tests stop programs with Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["x64", "x86"])
def abi(request: pytest.FixtureRequest) -> str:
    """Parametrize a test over both Windows ABIs."""
    return str(request.param)


@pytest.fixture(params=["core", "python"])
def either_core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with the core and without it."""
    if request.param == "core":
        require_core()
    else:
        monkeypatch.setattr(core, "CORE", None)
    return str(request.param)


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the command line in an empty folder."""

    def run(
        *arguments: object, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "tracekmt", *map(str, arguments)]
        environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", **(env or {})}
        return run_captured(words, cwd=tmp_path, timeout=120, env=environment, **options)

    return run


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., str]:
    """Return a function that opens a page in a browser and returns its final elements, or takes a screenshot."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        skip_without("chromium, to open the page with")

    def run(path: Path, fragment: str = "", *more: str) -> str:
        words = [browser, *BROWSER_FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *(more or ("--dump-dom",))]
        url = path.as_uri() + (f"#{quote(fragment)}" if fragment else "")
        return subprocess.run([*words, url], check=True, capture_output=True, text=True, timeout=60).stdout

    return run


def require_core() -> core.Core:
    """Return the core. Skip the test without it."""
    if core.CORE is None:
        skip_without("the core, which a C compiler builds at installation")
    return core.CORE


def without_core(work: Any, *arguments: Any) -> Any:
    """Call a function without the core."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "CORE", None)
        return work(*arguments)


def open_device(**settings: Any) -> tuple[tracekmt.Simulator, int, int]:
    """Return a simulator with the settings, and handles of its adapter and of a device."""
    simulator = tracekmt.Simulator(**settings)
    adapter = simulator.call("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}).outputs["hAdapter"]
    device = simulator.call("D3DKMTCreateDevice", {"hAdapter": adapter}).outputs["hDevice"]
    return simulator, adapter, device


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the compiled test library (libdxcore.so) and its client."""
    if sys.platform != "linux":
        pytest.skip(LINUX_PROGRAMS)
    compiler = shutil.which("gcc")
    if compiler is None:
        skip_without("gcc, to build the test programs with")
    folder = tmp_path_factory.mktemp("native")
    subprocess.run(
        [compiler, "-O1", "-Wall", "-shared", "-fPIC", "-o", folder / "libdxcore.so", FOLDER / "thunks.c"], check=True
    )
    subprocess.run(
        [compiler, "-O1", "-Wall", "-Wextra", "-o", folder / "client", FOLDER / "client.c", "-ldl", "-lpthread"],
        check=True,
    )
    return folder


@pytest.fixture(scope="session")
def walker_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the recorder's walker, compiled by the system's compiler."""
    if sys.platform != "linux":
        pytest.skip(LINUX_PROGRAMS)
    return build(tmp_path_factory.mktemp("walker"))


@pytest.fixture(scope="module")
def compiled(walker_library: Path) -> Iterator[Compiled]:
    """Return the walker in this process, until the module ends. Its fault handler is gone before Frida installs one."""
    walker = Compiled(walker_library)
    yield walker
    walker.close()


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the sample trace with a frame for every three events, like a recording that is drained often."""
    path = tmp_path_factory.mktemp("many") / "many.kmt"
    with tracekmt.open(resource("traces", "demo.kmt")) as trace:
        writer = Writer(path, trace.header)
        for spec_id, spec in trace.specs.items():
            writer.describe(spec_id, spec)
        for position, event in enumerate(trace.events()):
            writer.events([event], flush=position % 3 == 2)
        writer.end("whole")
        writer.close()
    return path.read_bytes()
