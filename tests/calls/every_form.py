"""The descriptions of every function in every layout that builds of Windows have."""

from __future__ import annotations

import dataclasses

from tracekmt.calls import CALLS, forms
from tracekmt.spec.types import CallSpec

FORMS: dict[str, CallSpec] = dict(CALLS)
"""The latest description by function, and earlier ones by function and first build, such as "D3DKMTPresent@0"."""

for _name, _latest in CALLS.items():
    for _first, _spec in forms(_name).items():
        if _spec is not _latest:
            FORMS[f"{_name}@{_first}"] = dataclasses.replace(_spec, name=f"{_name}@{_first}")
