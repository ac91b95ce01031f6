"""Notes about the layouts of a trace whose build of Windows is unknown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tracekmt.calls import CALLS, form_like, forms
from tracekmt.trace.reader import Trace


def layout_notes(trace: Trace) -> Iterator[str]:
    """Yield a note for the layouts that were assumed, if builds of Windows differ in those of called functions."""
    if trace.header.abi == "wsl" or type(trace.header.settings.get("build")) is int:
        return
    functions: dict[int, list[str]] = defaultdict(list)
    for spec_id in {spec_id for spec_id, _ in trace.tally()}:
        spec = trace.spec(spec_id)
        if spec.name in CALLS and len(forms(spec.name)) > 1:
            first = next(build for build, form in forms(spec.name).items() if form is form_like(spec))
            functions[first].append(spec.name)
    for first, names in sorted(functions.items()):
        layouts = f"since build {first} of Windows" if first else "of the oldest builds of Windows"
        yield f"layouts {layouts} are assumed, the build is unknown: {', '.join(sorted(names))}"
