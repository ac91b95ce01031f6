"""A trace as a program in C that makes its calls again: the reproducer."""

from tracekmt.convert.c.program import write_program

__all__ = ["write_program"]
