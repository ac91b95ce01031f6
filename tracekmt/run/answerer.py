"""Answers the calls of a program from a simulator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tracekmt import ntstatus
from tracekmt.calls import CALLS
from tracekmt.run.contents import Contents
from tracekmt.run.event import signal_event
from tracekmt.run.mailbox import Letter, Mailbox
from tracekmt.run.simulated_machine import SimulatedMachine
from tracekmt.simulator import Simulator
from tracekmt.simulator.process_memory import ProcessMemory
from tracekmt.simulator.request import Answer
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace.call import answered_result

ROUND_SECONDS = 0.2
"""Limit of a wait for letters. A closed mailbox is noticed after this time."""

FIRST_NT_HANDLE = 1 << 20
"""NT handles of a program on the simulator start here. On Linux, a program may close one like its own descriptors."""

MARKED_FAULTS = 256
"""Number of faults that a return value can name; see docs/format.md."""


class Answerer:
    """Answers the calls of one recorded process.

    Attributes:
        machine: Settings of the simulated machine, for the header of the trace.
        faults: Failures that the simulator injects, for the header.
        error: The internal error that ended the answers, None without one.
    """

    def __init__(self, machine: SimulatedMachine) -> None:
        self.machine = machine.settings
        self.faults = machine.faults
        self.error: BaseException | None = None
        self._simulated = machine
        self._served: _Served | None = None

    def open(self, pid: int, specs: Mapping[int, CallSpec], abi: Abi) -> dict[str, Any]:
        """Begin to answer a process, or the program that it executes now; see `record.answerer.Answerer`."""
        self.close()
        self._served = _Served(self, self._simulated, pid, specs, abi)
        heap = self._simulated.heap.location
        return {"mailbox": {**self._served.mailbox.location, "heap": heap}, "answers": {}}

    def close(self) -> None:
        """End the simulated process. The program makes its further calls itself."""
        if self._served is not None:
            self._served.close()
            self._served = None


class _Served:
    """A simulated process, with the mailbox of the program and the thread that answers it."""

    def __init__(
        self, answerer: Answerer, machine: SimulatedMachine, pid: int, specs: Mapping[int, CallSpec], abi: Abi
    ) -> None:
        self.mailbox = Mailbox()
        self._answerer = answerer
        self._specs = specs
        self._faults = machine.faults
        self._abi: Abi = abi
        self._memory = ProcessMemory(pid)
        self._simulator = self._start_process(pid, machine.process(), machine.contents)
        self._is_closed = False
        self._waiting: set[threading.Thread] = set()
        self._thread = threading.Thread(target=self._serve, name="tracekmt-simulator", daemon=True)
        self._thread.start()

    def _start_process(self, pid: int, simulator: Simulator, contents: Contents) -> Simulator:
        def map_fence(fence: Any) -> Any:
            offset, write = contents.of_fence(fence)
            return self.mailbox.heap_address + offset, write

        simulator.nt_handles.start_at(FIRST_NT_HANDLE)
        simulator.map_fence_memory = map_fence
        simulator.signal_event = partial(signal_event, pid)
        simulator.map_allocation_memory = lambda memory: self.mailbox.heap_address + contents.of_allocation(memory)
        return simulator

    def close(self) -> None:
        machine = self._simulator.machine
        self._is_closed = True
        with machine.lock:
            machine.lock.notify_all()  # for the threads that wait
        self._thread.join()
        for thread in list(self._waiting):
            thread.join()
        self.mailbox.close()
        self._simulator.exit()

    def _serve(self) -> None:
        while not self._is_closed:
            for letter in self.mailbox.take(ROUND_SECONDS):
                spec = self._specs.get(letter.spec_id)
                if spec is None or spec.name not in CALLS:
                    self.mailbox.decline(letter)
                    continue
                self._answer(letter, spec, letter.arguments[: _parameter_count(spec)])

    def _answer(self, letter: Letter, spec: CallSpec, arguments: tuple[int, ...]) -> None:
        """Answer a call. A call that waits gets its own thread, so that it stops no other."""
        call = spec, self._abi, self._memory, arguments
        if self._is_answered(letter, lambda: self._simulator.try_invoke(*call)):
            return

        def answer_later() -> None:
            self._is_answered(letter, lambda: self._simulator.invoke_after_wait(*call, lambda: self._is_closed))
            self._waiting.discard(thread)

        thread = threading.Thread(target=answer_later, name="tracekmt-waiting-call", daemon=True)
        self._waiting.add(thread)
        thread.start()

    def _is_answered(self, letter: Letter, invoke: Callable[[], Answer | None]) -> bool:
        """Make a call, and answer its letter. Return False if the call waits.

        After an internal error, the program gets a status instead of waiting for ever.
        """
        try:
            answer = invoke()
            if answer is not None:
                self.mailbox.answer(letter, self._result(answer))
            return answer is not None
        except Exception as error:
            self._answerer.error = self._answerer.error or error
            self.mailbox.answer(letter, int(ntstatus.status("STATUS_UNSUCCESSFUL")))
            return True

    def _result(self, answer: Answer) -> int:
        """Return the raw return value, which names the injected failure."""
        status = int(ntstatus.status(answer.status_name))
        faults = [self._faults.index(text) for text in answer.injected if text in self._faults]
        is_marked = bool(faults) and answer.rule is not None and faults[0] < MARKED_FAULTS
        return answered_result(status, faults[0]) if is_marked else status


def _parameter_count(spec: CallSpec) -> int:
    return len(spec.argument.members) if spec.argument.parameters else 1
