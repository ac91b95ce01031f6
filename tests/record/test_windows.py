"""The recorder for Windows, without Windows and without Frida: built by MinGW and run by Wine, from Linux.

It is called through the stub that the agent generates on Windows. `test_own_windows` runs the whole recorder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native import FOLDER as NATIVE
from tests.native import skip_without
from tests.record.buffer.drained import drained
from tests.skips import LINUX_PART
from tests.windows import COMPILERS, FOLDER, wine_environment
from tracekmt.calls import CALLS
from tracekmt.record.agent.hooks import MACHINES, hook_source
from tracekmt.record.agent.plan import compile_plan
from tracekmt.record.buffer import shared_buffer
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import preface
from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.resources import resource
from tracekmt.spec.types import Abi
from tracekmt.trace.events import Enter, Header, Leave

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason=LINUX_PART)

DESTROY = "D3DKMTDestroyDevice"
RECORD, CALL = 0x1111111111111111, 0x2222222222222222


def stub() -> bytes:
    """Return the stub that stubs.js generates on Windows, with two numbers as its addresses."""
    node = shutil.which("node")
    if node is None:
        skip_without("node")
    script = resource("hooks", "stubs.js").read_text("utf-8").replace("'use strict';", "")
    print_stub = f"console.log(windowsNative.stub('{RECORD}', '{CALL}', 0).join(' '))"
    run = subprocess.run(
        [node, "-e", f"const PAGE = 4096;\n{script}\n{print_stub}"], check=True, capture_output=True, text=True
    )
    return bytes(int(number) for number in run.stdout.split())


def build(folder: Path, abi: Abi, machine: str, *more: str) -> Path:
    """Build the recorder for Windows, as an object file or as a program with a substitute for Frida."""
    compiler = shutil.which(COMPILERS[abi])
    if compiler is None:
        skip_without(COMPILERS[abi])
    source = folder / f"{abi}.c"
    source.write_text(hook_source(*MACHINES[machine]))
    output = folder / f"{abi}.exe"
    # Without inlining there is one guarded copy, so that a fault in it is identified by its address.
    flags = ["-O1", "-fno-inline", "-fno-ipa-sra", "-w", "-I", str(NATIVE)]
    subprocess.run([compiler, *flags, *more, source, "-o", output], check=True)
    return output


def test_calls_and_faults_of_windows_threads(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads of a PE program.

    Arguments and written memory are recorded, and the fifth parameter is passed on. The vectored handler skips bad
    pointers and leaves the program's own exceptions to the program.
    """
    environment = wine_environment(tmp_path_factory.mktemp("wine"))
    monkeypatch.setattr(shared_buffer, "SIZES", (2 << 20,))
    code = stub()
    offsets = {"RECORD": code.index(RECORD.to_bytes(8, "little")), "CALL": code.index(CALL.to_bytes(8, "little"))}
    defined = [f"-DSTUB={','.join(map(str, code))}", *(f"-D{name}={offset}" for name, offset in offsets.items())]
    program = build(tmp_path, "x64", "windows x64", *defined, str(FOLDER / "recorder.c"))
    plan = compile_plan([(7, CALLS[DESTROY])], "x64")
    words = tmp_path / "plan"
    words.write_bytes(b"".join(word.to_bytes(4, "little") for word in plan.words))
    buffer = SharedBuffer(preface(Header("x64"), {7: CALLS[DESTROY]}), EventQueue(), tmp_path)
    try:
        arguments = [buffer.path, buffer.offset, buffer.size, words, words.stat().st_size, plan.hooks[DESTROY]]
        run = subprocess.run(
            ["wine", program, *map(str, arguments)],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        *lines, last = run.stdout.splitlines()
        events = drained(buffer, last=True)
    finally:
        buffer.close()
    assert last == f"handled {len(lines)} wrong 0"
    enters = [event for event in events if isinstance(event, Enter)]
    leaves = {event.enter: event for event in events if isinstance(event, Leave)}
    assert len(lines) == 100
    assert len(enters) == len(leaves) == 2 * len(lines)
    recorded_lines = []
    for good_call, bad_call in zip(enters[::2], enters[1::2], strict=True):
        before, after = good_call.regions[0][2], leaves[good_call.sequence].regions[0][2]
        status, bad_status = (leaves[call.sequence].result & 0xFFFFFFFF for call in (good_call, bad_call))
        value, written = (int.from_bytes(content[:4], "little") for content in (before, after))
        recorded_lines.append(f"{good_call.thread} {value} {status:08x} {written} {bad_status:08x}")
        assert bad_call.regions[0][2] == b""
    assert recorded_lines == lines
    times = [enter.time for enter in enters]
    assert times == sorted(times)


def test_the_32_bit_recorder_compiles(tmp_path: Path) -> None:
    """No test runs it in a 32-bit process of Windows, but its assembly and its types are valid."""
    output = build(tmp_path, "x86", "windows ia32", "-c")
    assert re.match(rb"\x4c\x01", output.read_bytes())
