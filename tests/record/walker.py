"""The recorder without Frida: hooks/recorder.c built by the system's compiler, and a comparison of its copies."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.calls.every_form import FORMS
from tests.native import FOLDER, skip_without
from tests.record.buffer.drained import drained
from tracekmt.calls import raw_call
from tracekmt.codec import decode, encode
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.record.agent.hooks import hook_source
from tracekmt.record.agent.plan import Plan, compile_plan
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import preface
from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.spec.types import ABIS, Abi, CallSpec, is_described_pointer
from tracekmt.trace.events import Enter, Header, Leave, Region

ROOM = 4 << 20
# Addresses at which Arena lays out arguments. The walker reads the real memory there.
BASES = {"x64": 0x7C0000000000, "x86": 0xE0000000}
MAPPED: set[int] = set()
"""Those that this process has mapped, until it ends."""


class Walker(Protocol):
    """Calls the recorder's hooks."""

    def walk(self, abi: Abi, name: str, regions: list[Region], words: Sequence[int]) -> tuple[Enter, Leave]:
        """Write memory to its addresses and make one call."""
        ...


def plans() -> dict[Abi, Plan]:
    return {abi: compile_plan(enumerate([*FORMS.values(), raw_call("D3DKMTNew")]), abi) for abi in ABIS}


class Compiled:
    """The recorder as a library built by gcc, called in this process."""

    def __init__(self, library: Path) -> None:
        self.buffer = SharedBuffer(preface(Header("x64"), {}), EventQueue())
        self.library = ctypes.CDLL(str(library))
        self.plans = plans()
        self.current: Abi | None = None
        location = (ctypes.c_size_t(self.buffer.offset), ctypes.c_size_t(self.buffer.size))
        assert self.library.walker_start(str(self.buffer.path).encode(), *location) == 0
        for base in BASES.values():
            if base not in MAPPED:
                assert self.library.walker_map(ctypes.c_void_p(base), ctypes.c_size_t(ROOM)) == 0
                MAPPED.add(base)

    def walk(self, abi: Abi, name: str, regions: list[Region], words: Sequence[int]) -> tuple[Enter, Leave]:
        plan = self.plans[abi]
        if self.current != abi:
            data = array("I", plan.words).tobytes()
            ctypes.memmove(ctypes.addressof(ctypes.c_uint32.in_dll(self.library, "plan")), data, len(data))
            self.current = abi
        for address, _, content in regions:
            ctypes.memmove(address, content, len(content))
        parameters = (ctypes.c_uint64 * 16)(*words)
        self.library.walker_call(ctypes.c_uint32(plan.hooks[name]), parameters, ctypes.c_size_t(16))
        return events(self.buffer)

    def close(self) -> None:
        self.library.walker_stop()  # fails if another handler was installed later, which is harmless
        self.buffer.close()


def events(buffer: SharedBuffer) -> tuple[Enter, Leave]:
    enter, leave = drained(buffer)
    assert isinstance(enter, Enter)
    assert isinstance(leave, Leave)
    return enter, leave


def build(folder: Path) -> Path:
    """Build the recorder as a library. Skip the test without a compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        skip_without("gcc")
    library = folder / "walker.so"
    # Without inlining there is one guarded copy, so that a fault in it is identified by its address.
    flags = ["-O1", "-fno-inline", "-fno-ipa-sra", "-w", "-shared", "-fPIC", "-I", str(FOLDER)]
    subprocess.run(
        [compiler, *flags, "-o", library, FOLDER / "walker.c", "-x", "c", "-", "-lpthread"],
        input=hook_source("x64.c", "recorder.c", "linux.c").encode(),
        check=True,
    )
    return library


def same_values(walker: Walker, spec: CallSpec, abi: Abi, values: Any, kind_of: Any = None) -> Any:
    """Lay out values, have the walker copy them, and compare the decoded copy with the values."""
    arena = Arena(abi, 1)
    words = encode(spec, abi, arena, values)
    expected = decode(spec, abi, arena, words, None, kind_of)
    enter, leave = walker.walk(abi, spec.name, arena.regions(), words)
    assert enter.arguments[: len(words)] == tuple(words)
    decoded = decode(spec, abi, Recorded(enter.regions), enter.arguments, None, kind_of)
    assert decoded == expected
    after = decode(spec, abi, Recorded(leave.regions), enter.arguments, Recorded(enter.regions), kind_of)
    if spec.argument.parameters:
        assert isinstance(expected, dict)
        expected = {
            name: value for name, value in expected.items() if is_described_pointer(spec.argument.field(name).type)
        }
    assert after == expected
    return decoded
