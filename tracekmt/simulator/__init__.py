"""A simulator of the graphics kernel: what Windows answers, as far as that is known, and from where it is known."""

from tracekmt.simulator.simulator import BEHAVIOURS, CallResult, Simulator

__all__ = ["BEHAVIOURS", "CallResult", "Simulator"]
