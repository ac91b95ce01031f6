"""A library that exports thunks, as something to call from here: loaded in a process of its own.

A call that crashes or does not come back ends that process; `LibraryProcessDied` says so, and `restart` begins anew.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena
from tracekmt.errors import UsageError
from tracekmt.ntstatus import Status
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.thunks.live_objects import LiveObjects
from tracekmt.thunks.worker import receive, send
from tracekmt.trace.events import Region

TIMEOUT = 10.0
"""Seconds that a call may take."""

_START = 60.0
_SYSTEM = {"win32": ["gdi32.dll"], "linux": ["libdxcore.so", "/usr/lib/wsl/lib/libdxcore.so"]}
_END: Any = object()


class LibraryProcessDied(Exception):  # noqa: N818 (it is an outcome)
    """The process that made the calls is no more, and with it all that the calls had made; why."""


class Library:
    """The thunks of this system (path None), or of a library. `abi` is how it expects structures to be laid out.
    UsageError where it cannot be loaded."""

    def __init__(self, path: Path | None, timeout: float = TIMEOUT) -> None:
        if path is None and sys.platform not in _SYSTEM:
            raise UsageError(f"{sys.platform} has no thunks; name a library that exports them: thunks:PATH")
        self._paths = _SYSTEM[sys.platform] if path is None else [os.path.abspath(path)]
        self.name = self._paths[0] if path is None else str(path)
        self.timeout = timeout
        self.abi: Abi = native_abi()
        self._known: dict[str, bool] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self.restart()

    def restart(self) -> None:
        """Load the library into a new process, in place of the one that there was."""
        if self._process is not None:
            self.close()
        self._known.clear()
        self.alive = LiveObjects(self.abi)
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tracekmt.thunks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(self._process, self._answers), daemon=True)
        self._reader.start()
        try:
            found = self._ask(_START, "load", self._paths)
        except OSError as error:
            self.close()
            raise UsageError(f"{self.name}: cannot be loaded: {error}") from None
        except LibraryProcessDied as gone:
            raise UsageError(f"{self.name}: cannot be loaded: it {gone}") from None
        self._base, self._size, self.guard = found["base"], found["size"], found["guard"]

    def has(self, name: str) -> bool:
        """Whether it exports a function."""
        if name not in self._known:
            self._known[name] = self._ask(_START, "has", name)
        return self._known[name]

    def arena(self) -> Arena:
        """Memory for the arguments of the next call."""
        return _LibraryArena(self.abi, self._base, self._size)

    def call(self, call: CallSpec, arguments: Sequence[int], regions: Sequence[Region]) -> tuple[int, list[Region]]:
        """What a function gives, and the same memory afterwards. LibraryProcessDied where it does not come back."""
        blocks = [(address, data) for address, _, data in regions]
        try:
            result, after = self._ask(self.timeout, "call", call.name, call.returns, list(arguments), blocks)
        except OSError as error:
            self.close()
            raise LibraryProcessDied(f"crashed: {error}") from None
        left = [(address, wanted, data) for (address, wanted, _), data in zip(regions, after, strict=True)]
        self.alive.made(call, arguments, result, regions, left)
        return result, left

    def ask(self, call: CallSpec, inputs: Any) -> tuple[Status, Any]:
        """The same for a call of our own: by values, and its status."""
        arena = self.arena()
        arguments = codec.encode(call, self.abi, arena, inputs)
        before = arena.regions()
        result, after = self.call(call, arguments, before)
        for address, _, data in after:
            arena.write(address, data)
        return Status(result), codec.decode(call, self.abi, arena, arguments)

    def memory(self, size: int) -> int:
        """The address of zeroed memory there."""
        return int(self._ask(_START, "memory", size))

    def event(self) -> int:
        """A new event there."""
        return int(self._ask(_START, "event"))

    def section(self, size: int) -> int:
        """A new section there."""
        return int(self._ask(_START, "section", size))

    def process(self) -> int:
        """A handle to the process there."""
        return int(self._ask(_START, "process"))

    def clear(self) -> None:
        """End everything that calls have made there, the youngest first. What cannot be ended goes with the process."""
        for call, inputs in self.alive.endings(CALLS.values(), self.has):
            self.ask(call, inputs)

    def close(self) -> None:
        """End the process."""
        process = self._process
        assert process is not None
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join()

    def _ask(self, timeout: float, *request: Any) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            send(self._process.stdin, request)
            done, result = self._next(timeout)
        except (BrokenPipeError, EOFError, ValueError):
            raise LibraryProcessDied(self._ending()) from None
        except queue.Empty:
            self._process.kill()
            self.close()
            raise LibraryProcessDied(f"did not come back within {timeout:g} s") from None
        if not done:
            raise OSError(result)
        return result

    def _next(self, timeout: float) -> Any:
        try:
            answer = self._answers.get(timeout=timeout)
        except KeyboardInterrupt:
            # The answer under way belongs to this request; without it the next would get it.
            self._answers.get(timeout=timeout)
            raise
        if answer is _END:
            raise EOFError
        return answer

    def _ending(self) -> str:
        assert self._process is not None
        self.close()
        code = self._process.returncode
        return f"crashed: signal {-code}" if code < 0 else f"ended its process with status {code}"

    @staticmethod
    def _read(process: subprocess.Popen[bytes], answers: queue.SimpleQueue[Any]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            while True:
                try:
                    answers.put(receive(stream))
                except (EOFError, OSError, ValueError):
                    answers.put(_END)
                    return


def native_abi() -> Abi:
    """How structures are laid out for libraries of this system, and of this Python's width."""
    if sys.platform != "win32":
        return "wsl"
    return "x64" if sys.maxsize > 1 << 32 else "x86"


class _LibraryArena(Arena):
    """The memory of one call, where the process there can reach it."""

    def __init__(self, abi: Abi, base: int, size: int) -> None:
        super().__init__(abi)
        self._next = base
        self._end = base + size

    def locate(self, block: bytearray) -> int:
        """The address that a new placement gets."""
        address = super().locate(block)
        if self._next > self._end:
            raise UsageError("its arguments take more memory than a call is given")
        return address
