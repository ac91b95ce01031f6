"""Replays a trace on a target and compares its answers with the recorded ones."""
