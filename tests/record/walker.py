"""The recorder's hooks called outside of Frida: hooks/recorder.c built by the system's compiler, and what its copies
are held against."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.native import FOLDER, lacking
from tracekmt.calls import CALLS, raw_call
from tracekmt.codec import decode, encode
from tracekmt.codec.decode import _leads_on
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.record.agent.hooks import hook_source
from tracekmt.record.agent.plan import Plan, compile_plan
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import preface
from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.spec.types import ABIS, Abi, CallSpec
from tracekmt.trace.events import Enter, Header, Leave, Region

ROOM = 4 << 20
# Where Arena lays things out for a target; the walker reads the real memory there.
BASES = {"x64": 0x7C0000000000, "x86": 0xE0000000}


class Walker(Protocol):
    """Something that has the recorder's hooks called."""

    def walk(self, abi: Abi, name: str, regions: list[Region], words: Sequence[int]) -> tuple[Enter, Leave]:
        """Put memory where it belongs and make one call."""
        ...


def plans() -> dict[Abi, Plan]:
    return {abi: compile_plan(enumerate([*CALLS.values(), raw_call("D3DKMTNew")]), abi) for abi in ABIS}


class Compiled:
    """The recorder, compiled by gcc into a library, called in this process."""

    def __init__(self, library: Path) -> None:
        self.spool = SharedBuffer(preface(Header("x64"), {}), EventQueue())
        self.library = ctypes.CDLL(str(library))
        self.plans = plans()
        self.current: Abi | None = None
        place = (ctypes.c_size_t(self.spool.offset), ctypes.c_size_t(self.spool.size))
        assert self.library.walker_start(str(self.spool.path).encode(), *place) == 0
        for base in BASES.values():
            assert self.library.walker_map(ctypes.c_void_p(base), ctypes.c_size_t(ROOM)) == 0

    def walk(self, abi: Abi, name: str, regions: list[Region], words: Sequence[int]) -> tuple[Enter, Leave]:
        plan = self.plans[abi]
        if self.current != abi:
            data = array("I", plan.words).tobytes()
            ctypes.memmove(ctypes.addressof(ctypes.c_uint32.in_dll(self.library, "plan")), data, len(data))
            self.current = abi
        for address, _, content in regions:
            ctypes.memmove(address, content, len(content))
        given_words = (ctypes.c_uint64 * 16)(*words)
        self.library.walker_call(ctypes.c_uint32(plan.hooks[name]), given_words, ctypes.c_size_t(16))
        return events(self.spool)

    def close(self) -> None:
        self.library.walker_stop()  # its handler may have to stay, below one that came later
        self.spool.close()


def events(spool: SharedBuffer) -> tuple[Enter, Leave]:
    enter, leave = spool.drain()
    assert isinstance(enter, Enter)
    assert isinstance(leave, Leave)
    return enter, leave


def build(folder: Path) -> Path:
    """The recorder as a library; skips where there is no compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        lacking("gcc, to build the recorder with")
    library = folder / "walker.so"
    # The guarded copy must be there once, so that a fault in it is known by its address.
    flags = ["-O1", "-fno-inline", "-fno-ipa-sra", "-w", "-shared", "-fPIC", "-I", str(FOLDER)]
    subprocess.run(
        [compiler, *flags, "-o", library, FOLDER / "walker.c", "-x", "c", "-", "-lpthread"],
        input=hook_source("x64.c", "recorder.c", "linux.c").encode(),
        check=True,
    )
    return library


def same_values(walker: Walker, call: CallSpec, abi: Abi, values: Any, kind_of: Any = None) -> Any:
    """Lay values out, have the walker copy them, and hold what decodes against what lies there."""
    arena = Arena(abi, 1)
    words = encode(call, abi, arena, values)
    expected = decode(call, abi, arena, words, None, kind_of)
    enter, leave = walker.walk(abi, call.name, arena.regions(), words)
    assert enter.arguments[: len(words)] == tuple(words)
    found = decode(call, abi, Recorded(enter.regions), enter.arguments, None, kind_of)
    assert found == expected
    after = decode(call, abi, Recorded(leave.regions), enter.arguments, Recorded(enter.regions), kind_of)
    if call.argument.parameters:
        assert isinstance(expected, dict)
        expected = {name: value for name, value in expected.items() if _leads_on(call.argument.field(name).type)}
    assert after == expected
    return found
