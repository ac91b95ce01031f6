"""The plan of a matrix: traces by targets, from the command line or from a matrix file:

traces = ["traces/*.kmt", "s3://bucket/traces"]   # files, folders, patterns, URLs
rules = "rules.toml"                              # optional
runs = 1                                          # optional

[[targets]]
name = "little memory"
on = "simulator"                                  # or thunks, thunks:LIBRARY, a profile, a machine file
profile = "wsl"                                   # options of `replay`, with underscores
video_memory = "64MB"
fail = ["CreateAllocation2@10=STATUS_NO_MEMORY"]
needs = ["GPU"]                                   # resources of a worker

Paths are relative to the folder of the file.
"""

from __future__ import annotations

import glob
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracekmt.budgets import BUDGETS
from tracekmt.differ.policy import PROJECT
from tracekmt.errors import UsageError
from tracekmt.matrix.key import driver_text, hash_file, hash_rules, key_of
from tracekmt.matrix.targets import Target, parse_target, read_target
from tracekmt.replayer.together import traces_in
from tracekmt.text.toml import read_toml
from tracekmt.version import VERSION

_KEYS = ("traces", "targets", "rules", "runs")
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Request:
    """Traces and targets that a user wants to replay.

    Attributes:
        traces: Paths, patterns and URLs of traces.
        targets: The targets.
        rules: File with rules, if there are any.
        rules_hash: Hash of the rules.
        runs: Number of replays of each trace on each target.
    """

    traces: Sequence[str]
    targets: Sequence[Target]
    rules: Path | None = None
    rules_hash: str | None = None
    runs: int = 1


@dataclass(frozen=True)
class Pair:
    """One replay: a run of a trace on a target.

    Attributes:
        key: Key of the result.
        run: Number of the run, from 1.
        trace: Name of the trace in reports.
        target: Name of the target.
        command: Command line that repeats the replay.
        driver: Driver versions of the target, if it is real.
        work: Input of a worker process; see `tracekmt.matrix.work.replay_pair`.
        needs: Amounts of the resources that the replay uses, by name.
    """

    key: str
    run: int
    trace: str
    target: str
    command: str
    driver: str | None = None
    work: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, float] = field(default_factory=dict)


def parse_request(words: Sequence[str], on: Sequence[str], rules: Path | None, runs: int | None) -> Request:
    """Return what the arguments of the command line ask for.

    Args:
        words: A matrix file, or traces.
        on: Targets, for traces.
        rules: File with rules instead of that of the matrix file.
        runs: Number of runs instead of that of the matrix file.

    Raises:
        UsageError: The arguments or the matrix file are invalid.
    """
    if len(words) == 1 and words[0].endswith(".toml"):
        if on:
            raise UsageError(f"{words[0]} has its targets (remove --on)")
        request = _read_file(Path(words[0]))
    else:
        request = Request(words, [parse_target(text) for text in on or ("simulator",)])
    counts = Counter(target.name for target in request.targets)
    for name, count in counts.items():
        if count > 1:
            raise UsageError(f"invalid targets: {count} have the name {name}")
    rules = rules or request.rules or (PROJECT if PROJECT.exists() else None)
    rules_hash = None if rules is None else hash_rules(rules)
    rules = None if rules_hash is None else rules
    return Request(request.traces, request.targets, rules, rules_hash, runs or request.runs)


def _read_file(path: Path) -> Request:
    document, folder = read_toml(path), path.parent
    for key in document:
        if key not in _KEYS:
            raise UsageError(f"{path}: unknown key: {key} (expected one of {', '.join(_KEYS)})")
    traces, targets = document.get("traces"), document.get("targets", [{}])
    rules, runs = document.get("rules"), document.get("runs", 1)
    if not isinstance(traces, list) or not traces or not all(isinstance(trace, str) for trace in traces):
        raise UsageError(f"{path}: invalid traces (expected a list of paths, patterns and URLs)")
    if not isinstance(targets, list) or not targets:
        raise UsageError(f"{path}: invalid targets (expected [[targets]] tables)")
    if not isinstance(rules, (str, type(None))) or type(runs) is not int or runs < 1:
        raise UsageError(f"{path}: invalid rules or runs (expected a path, and a number from 1)")
    return Request(
        [trace if "://" in trace else str(folder / trace) for trace in traces],
        [read_target(table, folder, f"{path}: target {number}") for number, table in enumerate(targets, 1)],
        None if rules is None else folder / rules,
        runs=runs,
    )


def find_traces(words: Sequence[str], cache: Path) -> dict[str, Path]:
    """Return the traces that paths, patterns and URLs name: local paths by names for reports.

    Args:
        words: The paths, patterns and URLs.
        cache: Folder for what is fetched from URLs.

    Raises:
        UsageError: A word names no trace.
    """
    found: dict[str, Path] = {}
    for word in words:
        if "://" in word:
            from tracekmt.matrix.remote import fetch

            found.update(fetch(word, cache))
            continue
        is_pattern = _PATTERN.search(word) is not None and not Path(word).exists()
        paths = [Path(name) for name in sorted(glob.glob(word, recursive=True))] if is_pattern else [Path(word)]
        missing = [path for path in paths if not path.exists()]
        if not paths or missing:
            raise UsageError(f"cannot open {word}: no such trace")
        found.update((str(path), path) for path in traces_in(paths))
    if not found:
        raise UsageError("there is no trace to replay")
    return found


def make_pairs(
    request: Request,
    traces: Mapping[str, Path],
    descriptions: Sequence[Mapping[str, Any]],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Pair]:
    """Return the replays of a request, those of one trace after the other.

    Args:
        request: The request.
        traces: Local paths of the traces by name.
        descriptions: The description of each target.
        rules_hash: Hash of the rules, if there are any.
        on_progress: Receives the number of hashed traces, and of all.
    """
    rules = [] if request.rules is None else ["--rules", str(request.rules)]
    settings = [target.settings() for target in request.targets]
    pairs = []
    for number, (name, path) in enumerate(traces.items()):
        on_progress(number, len(traces))
        trace_hash = hash_file(path)
        for target, description, target_settings in zip(request.targets, descriptions, settings, strict=True):
            work = {
                "trace": str(path),
                "hash": trace_hash,
                "url": name if "://" in name else None,
                "on": target.on,
                "settings": target_settings,
                "rules": None if request.rules is None else str(request.rules),
                "budgets": vars(BUDGETS),
                "version": VERSION,
            }
            pairs += [
                Pair(
                    key_of(trace_hash, description, request.rules_hash),
                    run,
                    name,
                    target.name,
                    shlex.join(["tracekmt", "replay", str(path), *target.words(), *rules]),
                    driver_text(description.get("adapters", [])),
                    work,
                    target.needs,
                )
                for run in range(1, request.runs + 1)
            ]
    return pairs
