"""The recorder's walker against the codec: what every described call is given, laid out in memory, is copied as the
plan says and decodes to the same values; in both ABIs, compiled by the system's compiler and by Frida's."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import NATIVE, lacking
from tests.strategies import arguments
from tracekmt.calls import CALLS, raw_call
from tracekmt.codec import decode, encode
from tracekmt.codec.decode import _leads_on
from tracekmt.memory import Arena, Recorded
from tracekmt.record.plan import Plan, compile_plan
from tracekmt.record.spool import Spool
from tracekmt.resources import resource
from tracekmt.spec.types import ABIS, Abi, Call
from tracekmt.trace.events import Enter, Leave, Region

ROOM = 4 << 20
# Where Arena lays things out for a target; the walker reads the real memory there.
BASES = {"x64": 0x7C0000000000, "x86": 0xE0000000}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the recorder runs on Linux only, so far")


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
        self.spool = Spool()
        self.library = ctypes.CDLL(str(library))
        self.plans = plans()
        self.current: Abi | None = None
        assert self.library.walker_start(str(self.spool.path).encode(), ctypes.c_size_t(self.spool.size)) == 0
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


HELPER = """
const libc = name => Module.getGlobalExportByName(name);
const STUB = [0x31, 0xc0, 0xc3];
const stubs = new Map();
const mmap = new NativeFunction(libc('mmap'), 'pointer', ['pointer', 'size_t', 'int', 'int', 'int', 'int64']);
rpc.exports = {
  map: (base, size) => mmap(ptr(base), size, 3, 0x100022, -1, 0).equals(ptr(base)),
  stubs(names) {
    const code = mmap(NULL, 64 * names.length, 7, 0x22, -1, 0);
    names.forEach((name, index) => {
      code.add(64 * index).writeByteArray([...new Array(32).fill(0x90), ...STUB]);
      const types = new Array(6).fill('uint64');
      stubs.set(name, new NativeFunction(code.add(64 * index), 'int', types));
    });
    return Object.fromEntries(names.map((name, index) => [name, code.add(64 * index).toString()]));
  },
  call(name, regions, words) {
    for (const [address, hex] of regions) {
      const bytes = new Uint8Array(hex.length / 2);
      for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.substr(2 * i, 2), 16);
      if (bytes.length) ptr(address).writeByteArray(bytes.buffer);
    }
    stubs.get(name)(...words.map(word => uint64(word)));
  },
};
"""


class Injected:
    """The recorder, compiled by Frida in another process, with the agent's own hooks on it."""

    def __init__(self, abi: Abi) -> None:
        frida = pytest.importorskip("frida")
        self.spool, self.plan = Spool(), plans()[abi]
        program = "import time; print('ready', flush=True); time.sleep(1000)"
        self.process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"  # not while it is being loaded
        self.session = frida.attach(self.process.pid, exceptor="off")
        self.agent = self.session.create_script(resource("hooks", "agent.js").read_text("utf-8"), runtime="qjs")
        self.helper = self.session.create_script(HELPER, runtime="qjs")
        for script in (self.agent, self.helper):
            script.load()
        config = {
            "spool": str(self.spool.path),
            "size": self.spool.size,
            "plan": self.plan.words,
            "hooks": self.plan.hooks,
            "raw": {"prefixes": [], "patterns": [], "hooks": []},
            "module": "none",
            "source": resource("hooks", "recorder.c").read_text("utf-8"),
        }
        self.agent.exports_sync.start(config)
        assert self.helper.exports_sync.map(hex(BASES[abi]), ROOM)
        self.agent.exports_sync.hook_table(self.helper.exports_sync.stubs(list(self.plan.hooks)))

    def walk(self, abi: Abi, name: str, regions: list[Region], words: Sequence[int]) -> tuple[Enter, Leave]:
        told = [[hex(address), content.hex()] for address, _, content in regions]
        self.helper.exports_sync.call(name, told, [*map(str, words), *["0"] * (6 - len(words))])
        return events(self.spool)

    def close(self) -> None:
        self.agent.exports_sync.stop()
        self.session.detach()
        self.process.kill()
        self.process.communicate()
        self.spool.close()


def events(spool: Spool) -> tuple[Enter, Leave]:
    enter, leave = spool.drain()
    assert isinstance(enter, Enter)
    assert isinstance(leave, Leave)
    return enter, leave


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compiled]:
    compiler = shutil.which("gcc")
    if compiler is None:
        lacking("gcc, to build the recorder with")
    library = tmp_path_factory.mktemp("walker") / "walker.so"
    # The guarded copy must be there once, so that a fault in it is known by its address.
    flags = ["-O1", "-fno-inline", "-fno-ipa-sra", "-w", "-shared", "-fPIC", "-I", str(NATIVE)]
    with resource("hooks", "recorder.c").open("rb") as source:
        subprocess.run(
            [compiler, *flags, "-o", library, NATIVE / "walker.c", "-x", "c", "-", "-lpthread"],
            stdin=source,
            check=True,
        )
    walker = Compiled(library)
    yield walker
    walker.close()


@pytest.fixture(scope="module", params=ABIS)
def injected(request: pytest.FixtureRequest) -> Iterator[Injected]:
    walker = Injected(request.param)
    yield walker
    walker.close()


def same_values(walker: Walker, call: Call, abi: Abi, values: Any, kind_of: Any = None) -> Any:
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


FEW = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("name", sorted(CALLS))
@FEW
@given(st.data())
def test_what_gcc_s_walker_copies_decodes_to_what_was_there(
    compiled: Compiled, name: str, abi: Abi, data: st.DataObject
) -> None:
    drawn = data.draw(arguments(CALLS[name], abi))
    same_values(compiled, CALLS[name], abi, drawn.values, drawn.kind_of)


@pytest.mark.parametrize("name", sorted(CALLS))
@FEW
@given(st.data())
def test_what_frida_s_walker_copies_decodes_to_what_was_there(
    injected: Injected, name: str, data: st.DataObject
) -> None:
    abi: Abi = "x64" if injected.plan.words[0] == 8 else "x86"
    drawn = data.draw(arguments(CALLS[name], abi))
    same_values(injected, CALLS[name], abi, drawn.values, drawn.kind_of)
