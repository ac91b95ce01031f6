"""Which recorded value is which live one: strict maps by kind, with lifetimes.

Numbers are never compared. An object is identified by where it was born: the call, and the path of its handle there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tracekmt.spec.types import Kind


@dataclass(eq=False)
class Identity:
    """One object of a recording. live: its handle on the other side, None if it does not exist there. cause: the call
    whose difference is why it does not. within: what it dies with."""

    kind: Kind
    recorded: int
    index: int | None
    path: str
    live: int | None
    cause: int | None = None
    within: tuple[Identity, ...] = ()
    children: dict[Identity, None] = field(default_factory=dict)

    def __str__(self) -> str:
        """As findings say it: "#17.hResource", or that it is older than the trace."""
        return "ambient" if self.index is None else f"#{self.index}.{self.path}"


class HandleMap:
    """The objects that live at one point of a recording, and their handles on the other side."""

    def __init__(self) -> None:
        self._recorded: dict[tuple[Kind, int], Identity] = {}
        self._live: dict[tuple[Kind, int], Identity] = {}
        self._dead: set[tuple[Kind, int]] = set()

    def find(self, kind: Kind, value: int) -> Identity | None:
        """The living object that a recorded handle leads to."""
        return self._recorded.get((kind, value))

    def died(self, kind: Kind, value: int) -> bool:
        """Whether a recorded handle led to an object that is no more."""
        return (kind, value) in self._dead and (kind, value) not in self._recorded

    def find_live(self, kind: Kind, value: int) -> Identity | None:
        """The object that a handle of the other side leads to."""
        return self._live.get((kind, value))

    def bind(self, identity: Identity) -> tuple[Identity | None, Identity | None]:
        """An object is born. Gives the objects, if any, that had its recorded handle or its live one and never died:
        then one handle became two, or two became one."""
        clash = self._recorded.get((identity.kind, identity.recorded))
        self._recorded[identity.kind, identity.recorded] = identity
        live_clash = None
        if identity.live is not None:
            live_clash = self._live.get((identity.kind, identity.live))
            self._live[identity.kind, identity.live] = identity
        for owner in identity.within:
            owner.children[identity] = None
        return clash, live_clash

    def end(self, identity: Identity) -> None:
        """An object dies, and with it what is within it."""
        if self._recorded.get((identity.kind, identity.recorded)) is identity:
            del self._recorded[identity.kind, identity.recorded]
            self._dead.add((identity.kind, identity.recorded))
        if identity.live is not None and self._live.get((identity.kind, identity.live)) is identity:
            del self._live[identity.kind, identity.live]
        children, identity.children = identity.children, {}
        for child in children:
            self.end(child)
        for owner in identity.within:
            owner.children.pop(identity, None)
