"""Replays many traces on many targets, on this machine or on a cluster, and collects the results in a folder."""
