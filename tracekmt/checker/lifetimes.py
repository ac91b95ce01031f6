"""Checks of the lifetimes of objects: destroyed twice, used afterwards, never destroyed."""

from __future__ import annotations

from collections.abc import Iterator

from tracekmt.checker.rule import Check, misuse, name_of
from tracekmt.findings import Finding
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import iter_handles
from tracekmt.plural import plural
from tracekmt.trace.call import TracedCall


class UseAfterDestroy(Check):
    """Finds handles of destroyed objects. External handles are left out: unrecorded calls create new ones."""

    def __init__(self) -> None:
        self._destroyed: dict[tuple[str, int], str] = {}  # names by handle space and handle

    def on_leave(
        self, call: TracedCall, bindings: Bindings, created: list[Identity], destroyed: list[Identity]
    ) -> tuple[()]:
        """Remember the names of destroyed objects."""
        for identity in destroyed:
            if identity.kind.binding == "handle" and not identity.kind.external:
                self._destroyed[identity.kind.space.name, identity.recorded] = name_of(identity)
        return ()

    def on_enter(self, call: TracedCall, bindings: Bindings) -> Iterator[Finding]:
        """Yield a finding for each handle whose object an earlier call destroyed."""
        destroying = {destroys.path for destroys in call.spec.destroys if call.satisfies(destroys.when)}
        seen: set[int] = set()
        for bound, kind in iter_handles(call.bound_inputs):
            if bound.field.direction == "out" or kind.external:
                continue
            is_destroying = bound.pattern in destroying
            if is_destroying and bound.value in seen:
                message = f"{bound.path} is the second handle to the same object in this call"
                identity = bindings.find(kind, bound.value)
                on = "" if identity is None else name_of(identity)
                yield misuse(call, "double free", message, path=bound.path, pattern=bound.pattern, on=on)
            seen.add(bound.value)
            destroyed_by = bindings.handles.destroyed_by(kind, bound.value)
            if destroyed_by is not None:
                rule = "double free" if is_destroying else "use after destroy"
                message = f"call {destroyed_by} destroyed the {kind.name} of {bound.path}"
                names = (self._destroyed.get((space, bound.value)) for space in kind.spaces)
                on = next(filter(None, names), "")
                yield misuse(call, rule, message, path=bound.path, pattern=bound.pattern, on=on)


class NeverDestroyed(Check):
    """Finds objects that are live when the process ends. An object whose owner is live as well is counted with it."""

    def __init__(self) -> None:
        self._creators: dict[int, TracedCall] = {}

    def on_leave(
        self, call: TracedCall, bindings: Bindings, created: list[Identity], destroyed: list[Identity]
    ) -> tuple[()]:
        """Remember the calls that create objects."""
        if any(identity.kind.binding == "handle" for identity in created):
            self._creators[call.index] = call
        return ()

    def at_end(self, bindings: Bindings, *, is_complete: bool) -> Iterator[Finding]:
        """Yield a finding for each live object of a process that has ended."""
        live = [identity for identity in bindings.handles.live_objects() if not identity.kind.external]
        for identity in live if is_complete else ():
            is_owned = any(owner.index is not None for owner in identity.within)
            if identity.index is None or is_owned or identity.index not in self._creators:
                continue
            within = _count_within(identity)
            more = f", with {plural(within, 'object')} within it" if within else ""
            message = f"no call destroys the {identity.kind.name}{more}"
            path = identity.path
            call = self._creators[identity.index]
            yield misuse(call, "never destroyed", message, path=path, pattern=path, on=name_of(identity))


def _count_within(identity: Identity) -> int:
    children = [child for child in identity.children if child.kind.binding == "handle" and not child.kind.external]
    return len(children) + sum(map(_count_within, children))
