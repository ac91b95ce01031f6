"""The simulator itself: calls in, statuses and outputs out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.errors import UsageError
from tracekmt.memory import Arena, Fault, Memory, Recorded
from tracekmt.ntstatus import Status, status
from tracekmt.simulator import adapter, allocation, device
from tracekmt.simulator.machine import Machine, Process
from tracekmt.simulator.objects import Adapter, adapter_from
from tracekmt.simulator.request import UNREADABLE, Behaviour, Rule
from tracekmt.sizes import parse_size
from tracekmt.spec.types import Abi

BEHAVIOURS: dict[str, Behaviour] = {**adapter.BEHAVIOURS, **device.BEHAVIOURS, **allocation.BEHAVIOURS}
PROFILES = ("windows",)


@dataclass(frozen=True)
class Outcome:
    """How a call ended: its status, the whole argument after it (a dict, None for NULL), and the rule that refused it,
    if one did."""

    status: Status
    outputs: Any
    rule: Rule | None = None


class Simulator(Process):
    """One process on a simulated machine.

    adapters: the machine's adapters, as tables of settings (luid, name, video_memory, wddm, stops_after); one with
    LUID (1, 0) by default. video_memory sets the budget of every adapter, system_memory the machine's; both take
    bytes or "64MB".
    """

    def __init__(
        self,
        profile: str = "windows",
        *,
        adapters: Sequence[Any] | None = None,
        video_memory: int | str | None = None,
        system_memory: int | str | None = None,
    ) -> None:
        if profile not in PROFILES:
            raise UsageError(f"{profile} is no profile of the simulator; there is {', '.join(PROFILES)}")
        if adapters is not None and not isinstance(adapters, (list, tuple)):
            raise UsageError(f"adapters is a list of tables of settings, not {str(adapters)[:40]}")
        made = [adapter_from(settings) for settings in adapters] if adapters else [Adapter()]
        if video_memory is not None:
            for each in made:
                each.video_memory = parse_size(video_memory)
        super().__init__(Machine(made, None if system_memory is None else parse_size(system_memory)))

    def process(self) -> Simulator:
        """Another process on the same machine."""
        other = object.__new__(Simulator)
        Process.__init__(other, self.machine)
        return other

    def stop_adapter(self, luid: tuple[int, int] = (1, 0)) -> None:
        """Stop an adapter, as when it is reset or unplugged. UsageError where none has this LUID."""
        found = self.machine.adapter(luid)
        if found is None:
            raise UsageError(f"no adapter has the LUID {luid}")
        found.stop()

    def call(self, name: str, inputs: Any) -> Outcome:
        """Make a call with an argument in the value form; None is NULL. UsageError for what cannot be laid out."""
        call = CALLS.get(name) if isinstance(name, str) else None
        if call is None:
            raise UsageError(f"{name} is not described; tracekmt calls lists the functions that are")
        if name not in BEHAVIOURS:
            raise UsageError(f"{name} is described, but the simulator does not play it yet")
        arena = Arena("x64", 1)
        arguments = codec.encode(call, "x64", arena, inputs)
        before = Recorded(arena.regions())
        rule = self.invoke(name, "x64", arena, arguments[0])
        answer = status(rule.status) if rule else Status(0)
        return Outcome(answer, codec.decode(call, "x64", arena, arguments, before), rule)

    def invoke(self, name: str, abi: Abi, memory: Memory, address: int) -> Rule | None:
        """Answer a call whose argument lies in memory: the rule that it breaks, or None where it succeeded and its
        outputs are written."""
        behaviour = BEHAVIOURS[name]
        if address == 0:
            return behaviour.null
        with self.machine.lock:
            try:
                request = behaviour.request(self, CALLS[name], abi, memory, address)
                broken = next((rule for rule in behaviour.rules if rule.broken(request)), None)
                if request.adapter is not None:
                    request.adapter.calls += 1
                if broken is None:
                    behaviour.effect(request)
            except Fault:
                return UNREADABLE
        return broken
