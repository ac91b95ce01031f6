"""The simulator itself: calls in, statuses and outputs out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.errors import UsageError
from tracekmt.memory import Arena, Fault, Memory, Recorded
from tracekmt.ntstatus import Status, status
from tracekmt.simulator import adapter, allocation, device, keyed_mutex, sharing, support, sync, video_memory
from tracekmt.simulator.default import DEFAULT
from tracekmt.simulator.machine import Machine, Process
from tracekmt.simulator.objects import Adapter, adapter_from
from tracekmt.simulator.request import UNREADABLE, Answer, Behaviour, Rule
from tracekmt.sizes import parse_size
from tracekmt.spec.types import Abi, Call

FAMILIES = (adapter, device, allocation, sharing, keyed_mutex, sync, video_memory, support)
BEHAVIOURS: dict[str, Behaviour] = dict.fromkeys(CALLS, DEFAULT) | {
    name: behaviour for family in FAMILIES for name, behaviour in family.BEHAVIOURS.items()
}
PROFILES = ("windows",)


def _with_room(call: Call, inputs: Any) -> Any:
    """Inputs with room for what plain parameters hand back, where that was left out."""
    if not call.argument.parameters or not isinstance(inputs, Mapping):
        return inputs
    handed = [each.name for each in call.argument.fields() if each.direction == "out"]
    return {**dict.fromkeys(handed, 0), **inputs}


@dataclass(frozen=True)
class Outcome:
    """How a call ended: its status, the whole argument after it (a dict, None for NULL), and the rule that refused it,
    if one did. modelled: Windows is taken to answer so; otherwise only handles were looked after."""

    status: Status
    outputs: Any
    rule: Rule | None = None
    modelled: bool = True


class Simulator(Process):
    """One process on a simulated machine.

    adapters: the machine's adapters, as tables of settings (luid, name, device_name, video_memory, shared_memory, wddm,
    stops_after); one with LUID (1, 0) by default. video_memory sets the budget of every adapter, system_memory the
    machine's; both take bytes or "64MB". uniques: how many generations of a handle's slot are told apart.
    """

    def __init__(
        self,
        profile: str = "windows",
        *,
        adapters: Sequence[Any] | None = None,
        video_memory: int | str | None = None,
        system_memory: int | str | None = None,
        uniques: int = 3,
    ) -> None:
        if profile not in PROFILES:
            raise UsageError(f"{profile} is no profile of the simulator; there is {', '.join(PROFILES)}")
        if adapters is not None and not isinstance(adapters, (list, tuple)):
            raise UsageError(f"adapters is a list of tables of settings, not {str(adapters)[:40]}")
        made = [adapter_from(settings) for settings in adapters] if adapters else [Adapter()]
        if video_memory is not None:
            for each in made:
                each.video_memory = parse_size(video_memory)
        super().__init__(Machine(made, None if system_memory is None else parse_size(system_memory), uniques))

    def process(self) -> Simulator:
        """Another process on the same machine. It ends when it is told to `exit`, or when nobody has it any more."""
        other = object.__new__(Simulator)
        Process.__init__(other, self.machine)
        return other

    def __del__(self) -> None:
        if hasattr(self, "nt"):
            self.exit()

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
        arena = Arena("x64", 1)
        arguments = codec.encode(call, "x64", arena, _with_room(call, inputs))
        before = Recorded(arena.regions())
        rule = self.invoke(name, "x64", arena, arguments).rule
        answer = status(rule.status) if rule else Status(0)
        modelled = BEHAVIOURS[name].modelled
        return Outcome(answer, codec.decode(call, "x64", arena, arguments, before), rule, modelled)

    def invoke(
        self, name: str, abi: Abi, memory: Memory, arguments: Sequence[int], recorded: Status | None = None
    ) -> Answer:
        """Answer a call whose argument lies in memory. recorded: what it was answered with once: that is taken where it
        was refused, and only a driver, or nobody here, can say whether it should be."""
        behaviour, call = BEHAVIOURS[name], CALLS[name]
        if arguments == (0,) and not call.argument.parameters:
            return Answer(behaviour.null)
        with self.machine.lock:
            try:
                request = behaviour.request(self, call, abi, memory, arguments)
                broken = next((rule for rule in behaviour.rules if rule.broken(request)), None)
                if request.adapter is not None:
                    request.adapter.calls += 1
                if broken is not None:
                    return Answer(broken)
                if recorded is not None and not recorded.succeeded:
                    judge = behaviour.modelled and (recorded.name in behaviour.own or not behaviour.driver(request))
                    if not judge:
                        return Answer(None, taken=True)
                behaviour.effect(request)
            except Fault:
                return Answer(UNREADABLE)
        return Answer(None)
