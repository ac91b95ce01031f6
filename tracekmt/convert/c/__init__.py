"""Conversion of traces to reproducers: C programs that make the recorded calls."""

from tracekmt.convert.c.program import write_program

__all__ = ["write_program"]
