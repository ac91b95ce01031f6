"""Finds misuse of the interface that a trace shows by itself, without another side."""
