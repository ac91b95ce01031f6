"""Checks of what can be recorded and replayed: on this machine, in one process, and by running small programs."""
