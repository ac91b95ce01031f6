"""Replays a trace on a target and compares the outcomes with the recorded ones."""
