"""Replaying a trace on a target, and comparing what it answers with what was recorded."""

from tracekmt.replayer.engine import replay

__all__ = ["replay"]
