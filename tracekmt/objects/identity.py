"""Which recorded value is which live one, by the rule of each value's kind.

Numbers are never compared where a kind says that they stand for something. An object is identified by where it was
born: the call, and the path of its handle there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracekmt.spec.types import Kind


@dataclass(eq=False, slots=True)
class Identity:
    """One object, or one range of addresses, of a recording. live: its handle or base on the other side, None if it
    does not exist there. cause: the call whose difference is why it does not. within: what it dies with. size: the
    bytes of a range, 0 where it has no known end."""

    kind: Kind
    recorded: int
    index: int | None
    path: str
    live: int | None
    cause: int | None = None
    within: tuple[Identity, ...] = ()
    size: int = 0
    children: dict[Identity, None] = field(default_factory=dict)

    def __str__(self) -> str:
        """As findings say it: "#17.hResource", or that it is older than the trace."""
        return "ambient" if self.index is None else f"#{self.index}.{self.path}"

    def fence_owner(self) -> Identity:
        """The object that hands out the values of a fence: a queue and its own fence are born in one call, and count
        together."""
        owner = self.within[0] if self.within else None
        return (
            owner.fence_owner() if owner is not None and owner.index is not None and owner.index == self.index else self
        )


class HandleMap:
    """The objects that live at one point of a recording, and their handles on the other side."""

    def __init__(self) -> None:
        # By the name of the space that a kind's values lie in, and the value.
        self._recorded: dict[str, dict[int, Identity]] = defaultdict(dict)
        self._live: dict[str, dict[int, Identity]] = defaultdict(dict)
        self._dead: dict[str, dict[int, int]] = defaultdict(dict)

    def find(self, kind: Kind, value: int) -> Identity | None:
        """The living object that a recorded handle leads to."""
        return _first(self._recorded, kind, value)

    def died(self, kind: Kind, value: int) -> int | None:
        """The call that ended the object that a recorded handle led to, if it led to one that is no more."""
        if self.find(kind, value) is not None:
            return None
        ended = (self._dead[space].get(value) for space in kind.spaces)
        return max((by for by in ended if by is not None), default=None)

    def find_live(self, kind: Kind, value: int) -> Identity | None:
        """The object that a handle of the other side leads to."""
        return _first(self._live, kind, value)

    def bind(self, identity: Identity) -> tuple[Identity | None, Identity | None]:
        """An object is born. Gives the objects, if any, that had its recorded handle or its live one and never died:
        then one handle became two, or two became one."""
        space = identity.kind.space.name
        clash = self._recorded[space].get(identity.recorded)
        self._recorded[space][identity.recorded] = identity
        live_clash = None
        if identity.live is not None:
            live_clash = self._live[space].get(identity.live)
            self._live[space][identity.live] = identity
        adopt_into_owners(identity)
        return clash, live_clash

    def end(self, identity: Identity, by: int) -> None:
        """Forget an object that dies by a call."""
        space = identity.kind.space.name
        if self._recorded[space].get(identity.recorded) is identity:
            del self._recorded[space][identity.recorded]
            self._dead[space][identity.recorded] = by
        if identity.live is not None and self._live[space].get(identity.live) is identity:
            del self._live[space][identity.live]

    def living(self) -> Iterator[Identity]:
        """Every object that lives."""
        for by_value in self._recorded.values():
            yield from by_value.values()


class RangeMap:
    """Ranges of addresses that calls handed out. A range may lie in another: a mapping in a reservation."""

    def __init__(self) -> None:
        self._ranges: dict[Kind, dict[Identity, None]] = {}

    def find(self, kind: Kind, value: int) -> Identity | None:
        """The youngest range that a recorded address lies in."""
        for identity in reversed(self._ranges.get(kind.space, {})):
            if value == identity.recorded or 0 <= value - identity.recorded < identity.size:
                return identity
        return None

    def living(self) -> Iterator[Identity]:
        """Every range that has not been given back."""
        for ranges in self._ranges.values():
            yield from ranges

    def bind(self, identity: Identity) -> None:
        """A range is handed out."""
        self._ranges.setdefault(identity.kind.space, {})[identity] = None
        adopt_into_owners(identity)

    def end(self, identity: Identity, by: int) -> None:
        """Forget a range that is given back by a call."""
        self._ranges.get(identity.kind.space, {}).pop(identity, None)


class Bindings:
    """Everything that is bound at one point of a recording."""

    def __init__(self) -> None:
        self.handles = HandleMap()
        self.ranges = RangeMap()
        self._pairs: dict[tuple[Hashable, ...], Any] = {}
        self._lost: dict[tuple[Hashable, ...], int] = {}

    def find(self, kind: Kind, value: int) -> Identity | None:
        """The object or range that a recorded value leads to."""
        return self.ranges.find(kind, value) if kind.binding == "range" else self.handles.find(kind, value)

    def translate(self, kind: Kind, value: Any, clock: Identity | None = None) -> Any:
        """What stands on the other side for a recorded value; the value itself where nothing is bound to it."""
        if kind.binding == "range":
            found = self.ranges.find(kind, value)
            return value if found is None or found.live is None else found.live + value - found.recorded
        return self._pairs.get(_pair(kind, value, clock), value)

    def learn(self, kind: Kind, value: Any, live: Any, clock: Identity | None = None) -> Any:
        """A value was handed out on both sides. Gives what the recorded one was bound to before, where that is
        something else."""
        if kind.binding not in ("fence", "per_machine"):
            return None
        known = self._pairs.setdefault(_pair(kind, value, clock), live)
        return None if known == live else known

    def mark_missing(self, kind: Kind, value: Any, clock: Identity | None, cause: int) -> None:
        """A value was handed out in the recording alone, because of what a call did otherwise."""
        self._lost.setdefault(_pair(kind, value, clock), cause)

    def inherit_missing(self, older: Bindings) -> None:
        """What came to be on one side alone stays so, where everything else was made anew on the other."""
        anew = {(each.index, each.path): each for each in self.living()}
        for identity in list(older.living()):
            if identity.live is None:
                self.bind(identity)
        for (space, clock, plain), cause in older._lost.items():
            known = anew.get((clock.index, clock.path)) if isinstance(clock, Identity) else None
            self._lost[space, known if known is not None else clock, plain] = cause

    def cause(self, kind: Kind, value: Any, clock: Identity | None = None) -> int | None:
        """The call because of which a value stands for nothing on the other side; None where it does, or where nobody
        saw it handed out."""
        if kind.binding == "range":
            found = self.ranges.find(kind, value)
            return found.cause if found is not None and found.live is None else None
        pair = _pair(kind, value, clock)
        return None if pair in self._pairs else self._lost.get(pair)

    def bind(self, identity: Identity) -> tuple[Identity | None, Identity | None]:
        """An object is born or a range handed out; gives the objects whose handles it has taken."""
        if identity.kind.binding != "range":
            return self.handles.bind(identity)
        self.ranges.bind(identity)
        return None, None

    def living(self) -> Iterator[Identity]:
        """Every object that lives, and every range."""
        yield from self.handles.living()
        yield from self.ranges.living()

    def end(self, identity: Identity, by: int) -> list[Identity]:
        """An object dies by a call, and with it what is within it; gives all that died."""
        (self.ranges if identity.kind.binding == "range" else self.handles).end(identity, by)
        dead = [identity]
        children, identity.children = identity.children, {}
        for child in children:
            dead += self.end(child, by)
        for owner in identity.within:
            owner.children.pop(identity, None)
        return dead


def adopt_into_owners(identity: Identity) -> None:
    """Tell the owners of an object that it dies with them."""
    for owner in identity.within:
        owner.children[identity] = None


def _first(by_space: Mapping[str, Mapping[int, Identity]], kind: Kind, value: int) -> Identity | None:
    for space in kind.spaces:
        found = by_space[space].get(value)
        if found is not None:
            return found
    return None


def _pair(kind: Kind, value: Any, clock: Identity | None) -> tuple[Hashable, ...]:
    plain = tuple(sorted(value.items())) if isinstance(value, dict) else value
    return kind.space, clock.fence_owner() if clock is not None else None, plain
