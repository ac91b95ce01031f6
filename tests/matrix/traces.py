"""Traces for tests of matrices."""

from __future__ import annotations

from pathlib import Path

from tests.minimize.workload import PLANTS, Plant, Workload, write_trace

CALLS = 10


def no_plant(work: Workload) -> None:
    """Leave the trace without differences."""


def write_traces(folder: Path, count: int, calls: int = CALLS) -> Path:
    """Write traces of random calls. The simulator of Windows differs from every third one."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        plant: Plant = PLANTS[number % len(PLANTS)] if number % 3 == 0 else no_plant
        write_trace(folder / f"{number:03}.kmt", calls, plant, number)
    return folder
