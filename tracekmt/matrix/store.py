"""The folder of a matrix: its plan, and a file for each result. A result is written as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tracekmt.edit.copy import replace_on_success
from tracekmt.errors import UsageError
from tracekmt.matrix.plan import Pair
from tracekmt.version import VERSION

PLAN, DONE, FETCHED = "plan.json", "done", "fetched"
_FORMAT = 1
_PLANNED = ("key", "run", "trace", "target", "command", "driver")


def prepare(folder: Path) -> None:
    """Create the folder of a matrix, or accept that of an earlier run.

    Raises:
        UsageError: The folder has other contents, or cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = {path.name for path in folder.iterdir()} - {DONE, FETCHED}
        if any(not name.startswith(".") for name in others) and not (folder / PLAN).exists():
            raise UsageError(f"cannot write {folder}: it has other files, and no {PLAN} of a matrix (use a new folder)")
        (folder / DONE).mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from None


def write_plan(folder: Path, pairs: Iterable[Pair], shard: Sequence[int] | None) -> None:
    """Write the pairs of a matrix, and which shard of them this folder has."""
    rows = [{name: getattr(pair, name) for name in _PLANNED} for pair in pairs]
    write_json(folder / PLAN, {"format": _FORMAT, "version": VERSION, "shard": shard, "pairs": rows})


def read_plan(folder: Path) -> tuple[list[Pair], list[int] | None]:
    """Return the pairs of a matrix, and its shard.

    Raises:
        UsageError: The folder has no plan of this format.
    """
    path = folder / PLAN
    try:
        document = json.loads(path.read_text("ascii"))
        if document["format"] != _FORMAT:
            raise UsageError(f"{path}: another version of tracekmt wrote it (replay into a new folder)")
        return [Pair(**{name: row[name] for name in _PLANNED}) for row in document["pairs"]], document["shard"]
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror} (expected the folder of a matrix)") from None
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{path}: not the plan of a matrix") from None


def in_shard(pair: Pair, shard: Sequence[int] | None) -> bool:
    """Return True if a pair belongs to a shard: I of N, by its key."""
    return shard is None or int(pair.key[:16], 16) % shard[1] == shard[0] - 1


def result_path(folder: Path, key: str, run: int) -> Path:
    """Return the path of a result."""
    return folder / DONE / (f"{key}.json" if run == 1 else f"{key}.{run}.json")


def write_result(folder: Path, pair: Pair, answer: dict[str, Any]) -> None:
    """Keep a result.

    Args:
        folder: Folder of the matrix.
        pair: The pair.
        answer: What its replay returned; see `tracekmt.matrix.process.replay_or_set_aside`.
    """
    result = {"key": pair.key, "run": pair.run, "trace": pair.trace, "target": pair.target, "version": VERSION}
    write_json(result_path(folder, pair.key, pair.run), {**result, **answer})


def write_json(path: Path, data: Any) -> None:
    """Write a file as a whole or not at all."""
    with replace_on_success(path) as part:
        part.write_text(json.dumps(data), "ascii")


def read_result(path: Path) -> Any:
    """Read a result.

    Raises:
        UsageError: The file is damaged.
    """
    try:
        return json.loads(path.read_text("ascii"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{path}: damaged (delete it, and run the matrix again)") from None


def results_of(folder: Path, key: str, run: int) -> Iterator[dict[str, Any]]:
    """Yield the results with a key, up to a number of runs, and further ones that a merge added."""
    number = 1
    while number <= run or result_path(folder, key, number).exists():
        if result_path(folder, key, number).exists():
            yield read_result(result_path(folder, key, number))
        number += 1
