"""Compares call outcomes: two traces with each other, or a trace with a replay target."""
