"""Live view of the calls of a program."""
