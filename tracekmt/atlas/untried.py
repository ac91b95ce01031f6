"""Reasons why the program of the atlas does not try a rule."""

from __future__ import annotations

from typing import Any

from tracekmt import codec
from tracekmt.calls import forms
from tracekmt.codec.memory import Arena
from tracekmt.simulator.rule import ValidationRule
from tracekmt.simulator.unmodelled import UNMODELLED, has_local_handles
from tracekmt.spec.layout import lay_out
from tracekmt.spec.types import ABIS, CallSpec

_BUILDS = "its structures differ between builds of Windows"
_WAITS = "the call can wait for other programs (--all)"
_STATES = (
    ("budget of", "it requires a machine whose memory is used up"),
    ("older than WDDM 2.0", "it requires an adapter older than WDDM 2.0"),
    ("in a 32-bit process", "it requires a 32-bit process"),
    ("exceeds 32 bits", "it requires 4 GB of private data"),
    ("owns a source", "it requires a device that owns a display"),
    ("owns the source", "it requires a device that owns a display"),
)
"""Parts of the reasons of rules that depend on the machine, with the state that they require."""


def reason_of_rule(spec: CallSpec, rule: ValidationRule) -> str:
    """Return why no call breaks a rule."""
    if not has_common_layout(spec.name):
        return _BUILDS
    is_stopped = "the adapter has stopped" in rule.reason
    other = "it requires a stopped adapter" if is_stopped else "no call breaks it before another rule"
    return state_of_rule(spec, rule) or other


def state_of_rule(spec: CallSpec, rule: ValidationRule) -> str:
    """Return the state of the machine that a rule requires, or why its function cannot break it. Empty without one."""
    inputs = [field.type for field in spec.argument.fields() if field.direction != "out"]
    if rule in UNMODELLED.rules and not any(map(has_local_handles, inputs)):
        return "no parameter of the function is a handle of the interface"
    return next((state for part, state in _STATES if part in rule.reason), "")


def reason_of_call(spec: CallSpec, inputs: Any, *, is_whole: bool) -> str:
    """Return why the program does not make a call that breaks a rule, empty if it makes the call."""
    if inputs is not None and not has_common_layout(spec.name):
        return _BUILDS
    if is_whole:
        return ""
    if spec.side_effect:
        return f"the call {spec.side_effect} (--all)"
    return _WAITS if inputs is not None and _can_wait(spec, inputs) else ""


def has_common_layout(name: str) -> bool:
    """Return True if the latest form of a function has the fields of all earlier forms at their places."""
    *earlier, latest = forms(name).values()
    for abi in ABIS:
        slots = {(slot.field.name, slot.offset, slot.size) for slot in lay_out(latest.argument, abi).slots}
        for form in earlier:
            layout = lay_out(form.argument, abi)
            if not slots.issuperset((slot.field.name, slot.offset, slot.size) for slot in layout.slots):
                return False
    return True


def _can_wait(spec: CallSpec, inputs: Any) -> bool:
    if spec.may_block_when is None:
        return False
    arena = Arena("x64", 1)
    values = codec.decode(spec, "x64", arena, codec.encode(spec, "x64", arena, inputs))
    assert isinstance(values, dict)
    return all(codec.condition_holds(condition, spec.argument, values) for condition in spec.may_block_when)
