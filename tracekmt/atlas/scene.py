"""Live objects of a state of the machine, by kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from tracekmt.spec.types import Kind


class Scene:
    """Handles that the inputs of cases take.

    Args:
        common: Handles of kinds of which the scene has no object, or not enough objects.

    Attributes:
        own: Handles of the scene's objects by the name of their kind.
    """

    def __init__(self, common: Mapping[str, list[int]] | None = None) -> None:
        self.own: dict[str, list[int]] = defaultdict(list)
        self._common = common or {}

    @property
    def handles(self) -> dict[str, list[int]]:
        """Handles by the name of their kind, those of the scene first."""
        names = {**self.own, **self._common}
        return {name: [*self.own.get(name, ()), *self._common.get(name, ())] for name in names}

    def of(self, kind: Kind) -> list[int]:
        """Return the live handles of a kind, or of its alternatives."""
        handles = self.handles
        return [handle for space in kind.spaces for handle in handles.get(space, ())]
