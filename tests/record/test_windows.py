"""The recorder as Windows gets it, without Windows and without Frida: built by MinGW and run by Wine, behind the stub
that the agent makes there. What only Windows can show is in the README's table."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native import FOLDER as NATIVE
from tests.native import lacking
from tests.windows import COMPILERS, FOLDER, wine_environment
from tracekmt.calls import CALLS
from tracekmt.record.agent.hooks import MACHINES, hook_source
from tracekmt.record.agent.plan import compile_plan
from tracekmt.record.buffer import shared_buffer as spools
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import preface
from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.resources import resource
from tracekmt.spec.types import Abi
from tracekmt.trace.events import Enter, Header, Leave

DESTROY = "D3DKMTDestroyDevice"
RECORD, CALL = 0x1111111111111111, 0x2222222222222222


def stub() -> bytes:
    """The stub that stubs.js makes on Windows, with the two numbers where its addresses belong."""
    node = shutil.which("node")
    if node is None:
        lacking("node, to have the agent's stub made")
    script = resource("hooks", "stubs.js").read_text("utf-8").replace("'use strict';", "")
    told = f"console.log(microsoftItself.stub('{RECORD}', '{CALL}', 0).join(' '))"
    run = subprocess.run(
        [node, "-e", f"const PAGE = 4096;\n{script}\n{told}"], check=True, capture_output=True, text=True
    )
    return bytes(int(each) for each in run.stdout.split())


def build(folder: Path, abi: Abi, machine: str, *more: str) -> Path:
    """The recorder for Windows as an object file, or as a program with what stands in for Frida."""
    compiler = shutil.which(COMPILERS[abi])
    if compiler is None:
        lacking(f"{COMPILERS[abi]}, to build Windows programs with")
    source = folder / f"{abi}.c"
    source.write_text(hook_source(*MACHINES[machine]))
    output = folder / f"{abi}.exe"
    # The guarded copy must be there once, so that a fault in it is known by its address.
    flags = ["-O1", "-fno-inline", "-fno-ipa-sra", "-w", "-I", str(NATIVE)]
    subprocess.run([compiler, *flags, *more, source, "-o", output], check=True)
    return output


def test_calls_and_faults_of_windows_threads(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads of a PE program: what was given and written is in the memory, bad pointers are passed over by the
    vectored handler, the program's own exceptions stay its own, and the fifth parameter arrives."""
    environment = wine_environment(tmp_path_factory.mktemp("wine"))
    monkeypatch.setattr(spools, "SIZES", (2 << 20,))
    code = stub()
    places = {"RECORD": code.index(RECORD.to_bytes(8, "little")), "CALL": code.index(CALL.to_bytes(8, "little"))}
    defined = [f"-DSTUB={','.join(map(str, code))}", *(f"-D{name}={place}" for name, place in places.items())]
    program = build(tmp_path, "x64", "windows x64", *defined, str(FOLDER / "recorder.c"))
    plan = compile_plan([(7, CALLS[DESTROY])], "x64")
    words = tmp_path / "plan"
    words.write_bytes(b"".join(word.to_bytes(4, "little") for word in plan.words))
    spool = SharedBuffer(preface(Header("x64"), {7: CALLS[DESTROY]}), EventQueue(), tmp_path)
    try:
        given = [spool.path, spool.offset, spool.size, words, words.stat().st_size, plan.hooks[DESTROY]]
        run = subprocess.run(
            ["wine", program, *map(str, given)], env=environment, check=True, capture_output=True, text=True, timeout=60
        )
        *lines, last = run.stdout.splitlines()
        events = spool.drain(last=True)
    finally:
        spool.close()
    assert last == f"taken {len(lines)} wrong 0"
    enters = [event for event in events if isinstance(event, Enter)]
    leaves = {event.enter: event for event in events if isinstance(event, Leave)}
    assert len(lines) == 100
    assert len(enters) == len(leaves) == 2 * len(lines)
    found = []
    for there, nowhere in zip(enters[::2], enters[1::2], strict=True):
        before, after = there.regions[0][2], leaves[there.sequence].regions[0][2]
        status, bad = leaves[there.sequence].result & 0xFFFFFFFF, leaves[nowhere.sequence].result & 0xFFFFFFFF
        value, written = (int.from_bytes(content[:4], "little") for content in (before, after))
        found.append(f"{there.thread} {value} {status:08x} {written} {bad:08x}")
        assert nowhere.regions[0][2] == b""
    assert found == lines
    times = [enter.time for enter in enters]
    assert times == sorted(times)


def test_the_narrow_recorder_is_built(tmp_path: Path) -> None:
    """For 32-bit processes of Windows nothing here runs it, but its assembly and its types fit."""
    output = build(tmp_path, "x86", "windows ia32", "-c")
    assert re.match(rb"\x4c\x01", output.read_bytes())
