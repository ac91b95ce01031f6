"""The simulator itself: calls in, statuses and outputs out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec.luid import Luid
from tracekmt.codec.memory import Arena, Memory, MemoryFault, Recorded
from tracekmt.errors import UsageError
from tracekmt.ntstatus import Status, status
from tracekmt.simulator import rules
from tracekmt.simulator.injection import InjectedFault, parse_faults
from tracekmt.simulator.machine_file import profile_settings
from tracekmt.simulator.model.allocation_size import size_rule
from tracekmt.simulator.model.handles import UNIQUES, Full
from tracekmt.simulator.model.machine import Machine, Process
from tracekmt.simulator.model.objects import adapter_from
from tracekmt.simulator.profile import Profile
from tracekmt.simulator.profiles import PROFILES
from tracekmt.simulator.request import Answer, Behaviour
from tracekmt.simulator.rule import FULL, UNREADABLE, ValidationRule
from tracekmt.simulator.unmodelled import DEFAULT
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.text.units import parse_size

_RULE_KEYS = ("status", "what", "source", "confidence")
BEHAVIOURS: dict[str, Behaviour] = dict.fromkeys(CALLS, DEFAULT) | rules.BEHAVIOURS


def describe_rules(name: str) -> dict[str, Any]:
    """How a call is answered, for people: whether it is modelled, its rules in their order, and what becomes of it
    where it breaks none."""
    behaviour = BEHAVIOURS[name]
    null = [] if CALLS[name].argument.parameters else [behaviour.null]
    described = [{key: getattr(rule, key) for key in _RULE_KEYS} for rule in (*null, *behaviour.rules)]
    return {"modelled": behaviour.modelled, "rules": described, "effect": inspect.getdoc(behaviour.effect)}


def validation_rules(name: str, profile: Profile) -> Sequence[ValidationRule]:
    """The rules that a call is held against, in their order."""
    own = [profile.replace.get(rule, rule) for rule in BEHAVIOURS[name].rules if rule not in profile.remove]
    return (*profile.rules.get(name, ()), *own, *profile.append.get(name, ()))


def _with_room(call: CallSpec, inputs: Any) -> Any:
    """Inputs with room for what plain parameters hand back, where that was left out."""
    if not call.argument.parameters or not isinstance(inputs, Mapping):
        return inputs
    handed = [each.name for each in call.argument.fields() if each.direction == "out"]
    return {**dict.fromkeys(handed, 0), **inputs}


def _machine(told: Mapping[str, Any]) -> Machine:
    """The machine that settings tell; UsageError names what is wrong with them."""
    for name in ("adapters", "drivers"):
        if not isinstance(told.get(name, ()), (list, tuple)):
            raise UsageError(f"{name} is a list of tables of settings, not {str(told[name])[:40]}")
    if told["profile"] not in PROFILES:
        raise UsageError(f"{told['profile']} is no profile; there are {', '.join(PROFILES)}, and TOML files")
    uniques = told.get("uniques", UNIQUES)
    if not isinstance(uniques, int) or not 1 <= uniques <= UNIQUES:
        raise UsageError(f"uniques is a number from 1 to {UNIQUES}, not {str(uniques)[:40]}")
    machine = Machine(
        [adapter_from(settings) for settings in told.get("adapters") or [{}]],
        None if told.get("system_memory") is None else parse_size(told["system_memory"]),
        uniques,
        profile=PROFILES[told["profile"]],
        drivers=[size_rule(settings) for settings in told.get("drivers", ())],
    )
    if told.get("video_memory") is not None:
        for each in machine.adapters:
            each.video_memory = parse_size(told["video_memory"])
    machine.faults, machine.changes = parse_faults(told.get("faults", ()))
    return machine


@dataclass(frozen=True)
class CallResult:
    """How a call ended: its status, the whole argument after it (a dict, None for NULL), and the rule that refused it,
    if one did. modelled: Windows is taken to answer so; otherwise only handles were looked after."""

    status: Status
    outputs: Any
    rule: ValidationRule | None = None
    modelled: bool = True


class Simulator(Process):
    """One process on a simulated machine.

    adapters: the machine's adapters, as tables of settings (luid, name, device_name, video_memory, shared_memory, wddm,
    stops_after); one with LUID (1, 0) by default. video_memory sets the budget of every adapter, system_memory the
    machine's; both take bytes or "64MB". drivers: how private data say how large an allocation is, see
    `simulator.driver.SizeRule`. profile: one of PROFILES, or a TOML file as `simulator.files` describes it. uniques:
    how many generations of a handle's slot are told apart. faults: what is to fail, or to change, and when: see
    `simulator.faults`.
    """

    def __init__(
        self,
        profile: str = "windows",
        *,
        adapters: Sequence[Any] | None = None,
        video_memory: int | str | None = None,
        system_memory: int | str | None = None,
        drivers: Sequence[Any] | None = None,
        uniques: int | None = None,
        faults: Sequence[str] | None = None,
    ) -> None:
        given = {
            "adapters": adapters,
            "video_memory": video_memory,
            "system_memory": system_memory,
            "drivers": drivers,
            "uniques": uniques,
            "faults": faults,
        }
        told = {**profile_settings(profile), **{name: value for name, value in given.items() if value is not None}}
        super().__init__(_machine(told))

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
        found = self.machine.adapter(Luid(*luid))
        if found is None:
            raise UsageError(f"no adapter has the LUID {Luid(*luid)}")
        found.stop()

    def call(self, name: str, inputs: Any) -> CallResult:
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
        return CallResult(answer, codec.decode(call, "x64", arena, arguments, before), rule, modelled)

    def invoke(
        self,
        name: str,
        abi: Abi,
        memory: Memory,
        arguments: Sequence[int],
        recorded: Status | None = None,
        index: int | None = None,
    ) -> Answer:
        """Answer a call whose argument lies in memory. recorded: what it was answered with once: that is taken where it
        was refused, and only a driver, or nobody here, can say whether it should be. index: its number, for what is to
        happen at some call; the number of calls before it without."""
        with self.machine.lock:
            if self.id not in self.machine.processes:
                raise UsageError("the process has ended; simulator.process() is a new one")
            number = self.machine.calls if index is None else index
            self.machine.calls = number + 1
            changed = tuple(self._change(number)) if self.machine.changes else ()
            fault = self._fault(name, abi, memory, arguments) if self.machine.faults else None
            if fault is not None:
                return Answer(fault.rule, injected=(*changed, fault.text))
            answer = self._answer(name, abi, memory, arguments, recorded)
            return replace(answer, injected=changed) if changed else answer

    def _change(self, number: int) -> Iterator[str]:
        """What happens to the machine before a call."""
        for change in [change for change in self.machine.changes if change.at <= number]:
            self.machine.changes.remove(change)
            self.machine.apply(change)
            yield change.text

    def _fault(self, name: str, abi: Abi, memory: Memory, arguments: Sequence[int]) -> InjectedFault | None:
        """The fault that a call is to meet. Every fault counts every call."""

        def inputs() -> Any:
            return codec.decode(CALLS[name], abi, memory, tuple(arguments), None)

        met = [fault for fault in self.machine.faults if fault.matches(name, inputs)]
        for fault in met[:1]:
            fault.fired += 1
        return met[0] if met else None

    @property
    def waiting(self) -> list[str]:
        """What was asked for and has not happened."""
        faults = [fault.text for fault in self.machine.faults if not fault.fired]
        return faults + [change.text for change in self.machine.changes]

    def _answer(self, name: str, abi: Abi, memory: Memory, arguments: Sequence[int], recorded: Status | None) -> Answer:
        behaviour, call = BEHAVIOURS[name], CALLS[name]
        if name in self.machine.profile.not_exported:
            return Answer(self.machine.profile.not_exported[name])
        if tuple(arguments) == (0,) and not call.argument.parameters:
            return Answer(behaviour.null)
        self.machine.made.clear()  # what was adopted for the call is not its own
        try:
            request = behaviour.request(self, call, abi, memory, arguments)
            broken = _first_broken(self._rules(name), request)
            adapter = request.adapter
            if adapter is not None:
                adapter.calls += 1
            if broken is not None:
                return Answer(broken)
            if recorded is not None and not recorded.succeeded:
                judge = behaviour.modelled and (
                    recorded.name in behaviour.kernel_statuses or not behaviour.driver_decides(request)
                )
                if not judge:
                    return Answer(None, from_recording=True)
            behaviour.effect(request)
        except (MemoryFault, Full) as error:
            for process, made in reversed(self.machine.made):
                process.undo(made)
            return Answer(UNREADABLE if isinstance(error, MemoryFault) else FULL)
        finally:
            self.machine.made.clear()
        return _DONE

    def _rules(self, name: str) -> Sequence[ValidationRule]:
        """The rules that a call is held against here, looked up once."""
        known = self.machine.rules.get(name)
        if known is None:
            known = self.machine.rules[name] = validation_rules(name, self.machine.profile)
        return known


_DONE = Answer(None)


def _first_broken(rules: Sequence[ValidationRule], request: Any) -> ValidationRule | None:
    for rule in rules:
        if rule.broken(request):
            return rule
    return None
