"""Conversion of traces to reproducers: C programs that make the recorded calls."""

from tracekmt.convert.c.cases import Cases
from tracekmt.convert.c.program import write_program

__all__ = ["Cases", "write_program"]
