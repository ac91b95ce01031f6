"""The recorder's walker against the codec.

The arguments of every described call are laid out in memory, copied by the plan, and decode to the same values. Both
ABIs are tested, with the recorder compiled by the system's compiler and by Frida's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.calls.every_form import FORMS
from tests.record.walker import BASES, ROOM, Compiled, events, plans, same_values
from tests.skips import LINUX_PROGRAMS
from tests.strategies import arguments, examples
from tracekmt.calls import INTERFACE
from tracekmt.record.agent.agent import agent_source
from tracekmt.record.agent.hooks import MACHINES, hook_source
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import preface
from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.spec.types import ABIS, Abi
from tracekmt.trace.events import Enter, Header, Leave, Region

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PROGRAMS)

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
      const types = new Array(7).fill('uint64');
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
    """The recorder, compiled by Frida in another process and called by the agent's hooks."""

    def __init__(self, abi: Abi) -> None:
        frida = pytest.importorskip("frida")
        self.buffer, self.plan = SharedBuffer(preface(Header("x64"), {}), EventQueue()), plans()[abi]
        program = "import time; print('ready', flush=True); time.sleep(1000)"
        self.process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"  # not while it is being loaded
        self.session = frida.attach(self.process.pid, exceptor="off")
        self.agent = self.session.create_script(agent_source(), runtime="qjs")
        self.helper = self.session.create_script(HELPER, runtime="qjs")
        for script in (self.agent, self.helper):
            script.load()
        config = {
            "memory": {"path": str(self.buffer.path), "offset": self.buffer.offset, "size": self.buffer.size},
            "plan": self.plan.words,
            "hooks": self.plan.hooks,
            "raw": {"prefixes": [], "patterns": [], "hooks": []},
            "modules": [],
            "windows": False,
            "hasFaults": False,
            "callers": [],
            "mailbox": None,
            "answers": {},
            "interface": INTERFACE,
            "sources": {machine: hook_source(*names) for machine, names in MACHINES.items()},
        }
        self.agent.exports_sync.start(config)
        assert self.helper.exports_sync.map(hex(BASES[abi]), ROOM)
        self.agent.exports_sync.hook_table(self.helper.exports_sync.stubs(list(self.plan.hooks)))

    def walk(self, abi: Abi, name: str, regions: list[Region], words: Sequence[int]) -> tuple[Enter, Leave]:
        contents = [[hex(address), content.hex()] for address, _, content in regions]
        self.helper.exports_sync.call(name, contents, [*map(str, words), *["0"] * (7 - len(words))])
        return events(self.buffer)

    def close(self) -> None:
        self.agent.exports_sync.stop()
        self.session.detach()
        # Popen.kill() polls the process first, and once mistook it for ended.
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=60)
        self.buffer.close()


@pytest.fixture(scope="module", params=ABIS)
def injected(request: pytest.FixtureRequest) -> Iterator[Injected]:
    walker = Injected(request.param)
    yield walker
    walker.close()


FEW = settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("name", sorted(FORMS))
@FEW
@given(st.data())
def test_copies_of_the_walker_built_by_gcc_decode_to_the_arguments(
    compiled: Compiled, name: str, abi: Abi, data: st.DataObject
) -> None:
    drawn = data.draw(arguments(FORMS[name], abi))
    same_values(compiled, FORMS[name], abi, drawn.values, drawn.kind_of)


@pytest.mark.parametrize("name", sorted(FORMS))
@FEW
@given(st.data())
def test_copies_of_the_walker_built_by_frida_decode_to_the_arguments(
    injected: Injected, name: str, data: st.DataObject
) -> None:
    abi: Abi = "x64" if injected.plan.words[0] == 8 else "x86"
    drawn = data.draw(arguments(FORMS[name], abi))
    same_values(injected, FORMS[name], abi, drawn.values, drawn.kind_of)
