"""The form of a check: it watches the calls of a trace and yields findings."""

from __future__ import annotations

from collections.abc import Iterable

from tracekmt.findings import Finding
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.trace.call import TracedCall


class Check:
    """A check. A subclass overrides the events that it watches."""

    def on_enter(self, call: TracedCall, bindings: Bindings) -> Iterable[Finding]:
        """Handle an enter event. The bindings have the objects that are live then."""
        return ()

    def on_leave(
        self, call: TracedCall, bindings: Bindings, created: list[Identity], destroyed: list[Identity]
    ) -> Iterable[Finding]:
        """Handle a leave event. The bindings have the objects that are live after the call."""
        return ()

    def at_end(self, bindings: Bindings, *, is_complete: bool) -> Iterable[Finding]:
        """Handle the end of the trace.

        Args:
            bindings: The objects that are live at the end.
            is_complete: True if the recorded process has ended.
        """
        return ()


def misuse(
    call: TracedCall, rule: str, message: str, *, path: str | None = None, pattern: str | None = None, on: str = ""
) -> Finding:
    """Create a finding.

    Args:
        call: The call that shows the misuse.
        rule: Name of the rule that it breaks.
        message: Explanation for users.
        path: Path of the field that shows it.
        pattern: `path` without array indexes.
        on: The object, as kind and identity.
    """
    return Finding(
        kind="misuse",
        call=call.name,
        index=call.index,
        other_index=None,
        thread=call.thread,
        recorded=call.outcome_text,
        replayed=None,
        message=message,
        path=path,
        pattern=pattern,
        rule=rule,
        object=on or None,
    )


def name_of(identity: Identity) -> str:
    """Return an object as text: its kind, and the call and the field that it was born in."""
    return f"{identity.kind.name} {identity}"
