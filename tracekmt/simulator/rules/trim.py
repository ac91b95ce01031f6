"""Trim notifications. The simulator calls no callback: a budget changes only between calls."""

from __future__ import annotations

from tracekmt.simulator.rule import invalid
from tracekmt.simulator.sources import page
from tracekmt.simulator.unmodelled import by_description

BEHAVIOURS = {
    "D3DKMTRegisterTrimNotification": by_description(
        "D3DKMTRegisterTrimNotification",
        invalid(
            "Callback is NULL",
            lambda r: not r.args["Callback"],
            page("D3DKMTRegisterTrimNotification") + ", which names no status",
            "documentation",
        ),
        limits="the simulator calls no callback",
    ),
    "D3DKMTUnregisterTrimNotification": by_description("D3DKMTUnregisterTrimNotification"),
}
