"""Benchmarks that asv runs, to compare commits: see asv.conf.json and `make compare`."""
