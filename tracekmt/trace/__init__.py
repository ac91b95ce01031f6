"""Traces: what is in the file, and reading and writing it. Knows no function."""
