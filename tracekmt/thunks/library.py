"""Calls a library of thunks that is loaded into a separate process.

A call that crashes or times out ends that process and raises `LibraryProcessDied`. `Library.restart` loads the library
into a new process.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena
from tracekmt.errors import UsageError
from tracekmt.ntstatus import Status
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.thunks.live_objects import LiveObjects
from tracekmt.thunks.process import LibraryProcess, LibraryProcessDied
from tracekmt.thunks.worker import ARENA_SIZE, message
from tracekmt.trace.events import Region

TIMEOUT = 10.0
"""Default time limit of a call, in seconds."""

_START_TIMEOUT = 60.0
_PIPE_SIZE = 4096
"""Bytes that any pipe holds: one of Windows by default, and one of Linux beyond the limit of the user (pipe(7)).

A library that hangs reads none of them, and the replay must not wait for it without a time limit.
"""

_SYSTEM_LIBRARIES = {"win32": ["gdi32.dll"], "linux": ["libdxcore.so", "/usr/lib/wsl/lib/libdxcore.so"]}
_ENDED_EARLIER = "ended at an earlier call"


@dataclass
class PostedCall:
    """A call that the library was asked for.

    Attributes:
        spec: Description of the function.
        arguments: Arguments of the call.
        regions: Memory before the call.
        size: Size of the request in bytes.
        outcome: The return value and the memory after the call, or why there are none. None until they are received.
    """

    spec: CallSpec
    arguments: Sequence[int]
    regions: Sequence[Region]
    size: int
    outcome: tuple[int, list[Region]] | LibraryProcessDied | None = None


def _is_int(answer: Any) -> bool:
    return type(answer) is int


def _is_bool(answer: Any) -> bool:
    return type(answer) is bool


def _is_arena(answer: Any) -> bool:
    return isinstance(answer, dict) and all(type(answer.get(name)) is int for name in ("base", "size", "guard"))


def _is_call_answer(answer: Any, sizes: list[int]) -> bool:
    """Return True for a return value of 32 bits and as many bytes as each block had."""
    if type(answer) is not list or len(answer) != 2:
        return False
    result, blocks = answer
    if type(result) is not int or not 0 <= result < 1 << 32 or type(blocks) is not list or len(blocks) != len(sizes):
        return False
    return set(map(type, blocks)) <= {bytes} and list(map(len, blocks)) == sizes


class Library:
    """A library of thunks.

    Attributes:
        name: Path of the library, for users.
        timeout: Time limit of a call, in seconds.
        abi: ABI of the arguments that the library expects.
        guard: Address in the process of the library that is unreadable and unwritable.
        live_objects: Objects that calls created and did not destroy.
    """

    def __init__(self, path: Path | None, timeout: float = TIMEOUT) -> None:
        """Load a library.

        Args:
            path: The library. None for the thunks of this system.
            timeout: Time limit of a call, in seconds.

        Raises:
            UsageError: The library cannot be loaded.
        """
        if path is None and sys.platform not in _SYSTEM_LIBRARIES:
            raise UsageError(f"{sys.platform} has no thunks (use thunks:PATH with a library that exports them)")
        self._paths = _SYSTEM_LIBRARIES[sys.platform] if path is None else [os.path.abspath(path)]
        self.name = self._paths[0] if path is None else str(path)
        self.timeout = timeout
        self.abi: Abi = native_abi()
        self._start()

    def restart(self) -> None:
        """Load the library into a new process, and end the previous process."""
        self._process.close()
        self._start()

    def _start(self) -> None:
        """Load the library into a new process."""
        self._exports: dict[str, bool] = {}
        self._posted: deque[PostedCall] = deque()
        self._has_ended = False  # at a call
        self.live_objects = LiveObjects(self.abi)
        self._process = LibraryProcess()
        try:
            memory = self._request(_START_TIMEOUT, "load", self._paths, is_valid=_is_arena)
        except OSError as error:
            self.close()
            raise UsageError(f"cannot load {self.name}: {error}") from None
        except LibraryProcessDied as died:
            raise UsageError(f"cannot load {self.name}: it {died}") from None
        self._base, self._size, self.guard = memory["base"], memory["size"], memory["guard"]

    def has(self, name: str) -> bool:
        """Return True if the library exports a function."""
        if name not in self._exports:
            self._exports[name] = self._request(_START_TIMEOUT, "has", name, is_valid=_is_bool)
        return self._exports[name]

    def arena(self) -> Arena:
        """Return memory for the arguments of the next call."""
        return _LibraryArena(self.abi, self._base, self._size)

    def call(self, spec: CallSpec, arguments: Sequence[int], regions: Sequence[Region]) -> tuple[int, list[Region]]:
        """Call a function.

        Args:
            spec: Description of the function.
            arguments: Arguments of the call.
            regions: Memory to write before the call.

        Returns:
            The return value, and the same memory after the call.

        Raises:
            LibraryProcessDied: The call did not return.
        """
        self._receive_outcomes()  # a large answer and a large request would wait for each other
        return self.finish(self._post(spec, arguments, regions, _call_request(spec, arguments, regions)))

    def post(self, spec: CallSpec, arguments: Sequence[int], regions: Sequence[Region]) -> PostedCall | None:
        """Ask for a call, and do not wait for its outcome. The library makes the calls in the order of the requests.

        Args:
            spec: Description of the function.
            arguments: Arguments of the call.
            regions: Memory to write before the call.

        Returns:
            None if the library has too many requests to take another one.
        """
        request = _call_request(spec, arguments, regions)
        if self._posted and sum(posted.size for posted in self._posted) + len(request) > _PIPE_SIZE:
            return None
        return self._post(spec, arguments, regions, request)

    def _post(self, spec: CallSpec, arguments: Sequence[int], regions: Sequence[Region], request: bytes) -> PostedCall:
        posted = PostedCall(spec, arguments, regions, len(request))
        if self._has_ended:
            posted.outcome = LibraryProcessDied(_ENDED_EARLIER)
        elif self._process.write(request) or self._posted:
            self._posted.append(posted)  # the outcomes of those before it tell at which of them the process ended
        else:
            posted.outcome = LibraryProcessDied(self._process.exit_reason())
        return posted

    def finish(self, posted: PostedCall) -> tuple[int, list[Region]]:
        """Wait for the outcome of a call.

        Returns:
            The return value, and the same memory after the call.

        Raises:
            LibraryProcessDied: The call did not return.
        """
        while posted.outcome is None:
            self._receive_outcome()
        if isinstance(posted.outcome, LibraryProcessDied):
            raise posted.outcome
        return posted.outcome

    def _receive_outcomes(self) -> None:
        while self._posted:
            self._receive_outcome()

    def _receive_outcome(self) -> None:
        """Receive the outcome of the first call that has none. Calls after one that did not return are not made."""
        posted = self._posted.popleft()
        sizes = [len(data) for _, _, data in posted.regions]
        try:
            result, data_after = self._process.receive(self.timeout, lambda answer: _is_call_answer(answer, sizes))
        except OSError as error:
            self.close()
            posted.outcome = LibraryProcessDied(f"crashed: {error}")
        except LibraryProcessDied as died:
            posted.outcome = died
        else:
            blocks = zip(posted.regions, data_after, strict=True)
            after = [(address, wanted, data) for (address, wanted, _), data in blocks]
            self.live_objects.on_return(posted.spec, posted.arguments, result, posted.regions, after)
            posted.outcome = result, after
            return
        self._has_ended = True
        for later in self._posted:
            later.outcome = LibraryProcessDied(_ENDED_EARLIER)
        self._posted.clear()

    def query(self, spec: CallSpec, inputs: Any) -> tuple[Status, Any]:
        """Call a function that is not part of a trace, and return its status and the argument after the call.

        Args:
            spec: Description of the function.
            inputs: Inputs in the value form.

        Raises:
            LibraryProcessDied: The call did not return.
        """
        arena = self.arena()
        arguments = codec.encode(spec, self.abi, arena, inputs)
        before = arena.regions()
        result, after = self.call(spec, arguments, before)
        for address, _, data in after:
            arena.write(address, data)
        return Status(result), codec.decode(spec, self.abi, arena, arguments)

    def memory(self, size: int) -> int:
        """Allocate zeroed memory in the process of the library, and return its address."""
        return int(self._request(_START_TIMEOUT, "memory", size))

    def event(self) -> int:
        """Create an event in the process of the library."""
        return int(self._request(_START_TIMEOUT, "event"))

    def section(self, size: int) -> int:
        """Create a section in the process of the library."""
        return int(self._request(_START_TIMEOUT, "section", size))

    def process(self) -> int:
        """Return a handle to the process of the library, valid in that process."""
        return int(self._request(_START_TIMEOUT, "process"))

    def clear(self) -> None:
        """Destroy all objects that calls created, newest first.

        Objects that no call can destroy end with the process.
        """
        self._receive_outcomes()
        for spec, inputs in self.live_objects.destroying_calls(CALLS.values(), self.has):
            self.query(spec, inputs)

    def close(self, *, now: bool = False) -> None:
        """End the process of the library; see `LibraryProcess.close`."""
        self._process.close(now=now)

    def _request(self, timeout: float, *request: Any, is_valid: Callable[[Any], bool] = _is_int) -> Any:
        """Send a request and return its answer.

        Args:
            timeout: Time limit in seconds.
            request: Name of a method of `Worker`, and its arguments.
            is_valid: Returns True for a valid answer. The library can write to the pipe of the answers, too.

        Raises:
            OSError: The request failed.
            LibraryProcessDied: The process ended, or its answer is not valid.
        """
        self._receive_outcomes()
        if not self._process.write(message(request)):
            raise LibraryProcessDied(self._process.exit_reason())
        return self._process.receive(timeout, is_valid)


def _call_request(spec: CallSpec, arguments: Sequence[int], regions: Sequence[Region]) -> bytes:
    blocks = [(address, data) for address, _, data in regions]
    return message(("call", spec.name, spec.returns, list(arguments), blocks))


def native_abi() -> Abi:
    """Return the ABI of libraries for this system and for the pointer size of this Python."""
    if sys.platform != "win32":
        return "wsl"
    return "x64" if sys.maxsize > 1 << 32 else "x86"


class _LibraryArena(Arena):
    """Memory of one call at addresses in the process of the library."""

    def __init__(self, abi: Abi, base: int, size: int) -> None:
        super().__init__(abi)
        self._next = base
        self._end = base + size

    def reserve(self, size: int) -> None:
        """Leave bytes out before the next block.

        Raises:
            UsageError: The memory is full.
        """
        super().reserve(size)
        if self._next > self._end:
            raise UsageError(f"its arguments exceed {ARENA_SIZE >> 20} MB")
