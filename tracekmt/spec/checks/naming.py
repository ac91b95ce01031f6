"""Checks of descriptions against their own names.

The compiler-read facts of a header do not include which field a length refers to or what a call creates. The names of
functions and fields follow rules, so a description that contradicts its names is probably wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tracekmt.spec import paths
from tracekmt.spec import types as t
from tracekmt.spec.checks import field_type

_DESTROYING = re.compile(r"(Destroy|Close|Free)(?![a-z])")
_CREATING = re.compile(r"(Create|Open)(?![a-z])")
_WAITING = re.compile(r"(WaitFor|Acquire)(?![a-z])")


@dataclass(frozen=True)
class Problem:
    """A contradiction between a description and its names.

    Attributes:
        spec_name: Name of the function.
        path: Path of the field, empty for the function itself.
        message: The contradiction.
    """

    spec_name: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.spec_name, self.path, self.message)))


def naming_problems(
    spec: t.CallSpec, handle_names: Mapping[str, t.Kind], prefixes: tuple[str, ...] = ()
) -> list[Problem]:
    """Return the contradictions between a description and its names.

    Args:
        spec: The description.
        handle_names: Names of fields, each with the kind that a field of this name holds.
        prefixes: Prefixes of function names, which the verb follows.
    """
    problems = [*_field_problems(spec, handle_names), *_function_problems(spec, prefixes), *_owner_problems(spec)]
    return list(dict.fromkeys(Problem(spec.name, path, message) for path, message in problems))


def _field_problems(spec: t.CallSpec, handle_names: Mapping[str, t.Kind]) -> Iterator[tuple[str, str]]:
    for path, field, holder in paths.fields(spec.argument, arms=spec.union_arms):
        kind = paths.element_kind(field.type)
        named_kind = handle_names.get(field.name)
        if kind is not None and named_kind is not None and named_kind not in (kind, kind.base, *kind.any_of):
            yield path, f"is named like a handle of the kind {named_kind.name}, but holds {kind.name}"
        if not isinstance(holder, t.Struct):
            continue
        length = t.length_of(field.type)
        if length is not None and not length.parent:
            target = field_type(holder, length)
            if isinstance(target, t.Integer) and target.kind is not None:
                yield path, f"its length {length.path} is a handle"
        size_name = f"{field.name.removeprefix('p')}Size"
        if isinstance(field.type, t.Address) and field.name.startswith("p") and holder.has(size_name):
            yield path, f"is an address without a length, but {size_name} exists"


def _function_problems(spec: t.CallSpec, prefixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    prefix = next((prefix for prefix in prefixes if spec.name.startswith(prefix)), "")
    verb = spec.name.removeprefix(prefix)
    if _DESTROYING.match(verb) and not spec.destroys:
        yield "", "is named like a call that destroys, but destroys nothing"
    if _CREATING.match(verb) and not spec.creates:
        yield "", "is named like a call that creates, but creates nothing"
    if _WAITING.match(verb) and spec.may_block_when is None:
        yield "", "is named like a call that waits, but may_block_when is not set"


def _owner_problems(spec: t.CallSpec) -> Iterator[tuple[str, str]]:
    inputs: set[t.Kind] = set()
    for _, field, _ in paths.fields(spec.argument, arms=spec.union_arms):
        kind = paths.element_kind(field.type)
        if kind is not None and field.direction != "out":
            inputs |= {kind, *kind.any_of}
    for creates in spec.creates:
        owners = [kind.name for kind in creates.kind.dies_with if kind in inputs]
        if creates.kind.binding == "handle" and not creates.within and owners:
            yield creates.path, f"dies with an input ({', '.join(owners)}), but within is not set"
