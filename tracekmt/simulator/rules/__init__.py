"""Simulated behaviour of the described functions, one module per family, named like its module in `tracekmt.calls`.

A module of this package registers the behaviours in its BEHAVIOURS.
"""

from __future__ import annotations

import importlib
import pkgutil

from tracekmt.simulator.request import Behaviour


def _collect_behaviours() -> dict[str, Behaviour]:
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return {name: behaviour for module in modules for name, behaviour in module.BEHAVIOURS.items()}


BEHAVIOURS: dict[str, Behaviour] = _collect_behaviours()
