"""Reduction of a trace to the smallest one that still shows something: fewer calls, then smaller values."""
