"""Simulator of the Windows graphics kernel. Each of its rules names a source and the confidence in it."""

from tracekmt.simulator.behaviours import BEHAVIOURS
from tracekmt.simulator.simulator import CallResult, Simulator

__all__ = ["BEHAVIOURS", "CallResult", "Simulator"]
