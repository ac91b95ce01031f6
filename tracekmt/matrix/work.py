"""Replays one trace on one target in a process of its machine, and returns a result of plain data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tracekmt.budgets import Budgets, set_budgets
from tracekmt.calls import CALLS
from tracekmt.calls.adapter_info import IDENTITY
from tracekmt.calls.kinds import ADAPTER
from tracekmt.differ.baseline import signature
from tracekmt.differ.policy import TracePair, apply_policy, load_rules
from tracekmt.differ.rules import DiffRule
from tracekmt.errors import Error, UsageError
from tracekmt.findings import Counts, Finding, Report
from tracekmt.matrix.cut import Part, find_parts, replay_part
from tracekmt.matrix.key import driver_text
from tracekmt.objects.adapters import find_adapters
from tracekmt.replayer.engine import replay
from tracekmt.trace.reader import Trace
from tracekmt.version import VERSION

CUT = "cut"
"""Instead of a target: find the parts of a trace."""

_FINDING_FIELDS = tuple(Finding.__dataclass_fields__)


def replay_pair(work: Mapping[str, Any]) -> dict[str, Any]:
    """Replay a trace on a target.

    Args:
        work: "trace" (path), "url" (where the trace is if there is no such file), "on" and "settings" of the replay,
            "rules" (path), "budgets" and "version" (of the tracekmt that wants the result). With "part", one part of
            the trace is replayed, without rules. "on" may be "cut" instead of a target. "least" is then the number of
            calls that a part has at least.

    Returns:
        The "report" and the "recorded_driver", or the "error". The "parts" of a trace that is cut.
    """
    try:
        if work["version"] != VERSION:
            raise UsageError(f"this worker has tracekmt {VERSION}, and not {work['version']}")
        set_budgets(Budgets(**work["budgets"]))
        path = Path(work["trace"])
        if work["url"] is None or path.exists():
            return _replay(path, work)
        from tracekmt.matrix.remote import fetch

        with TemporaryDirectory(prefix="tracekmt-") as folder:
            return _replay(fetch(work["url"], Path(folder))[0][1], work)
    except Error as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "out of memory"}
    except OSError as error:
        return {"error": f"{error.filename or 'system error'}: {error.strerror}"}
    except Exception as error:
        return {"error": f"internal error in tracekmt: {type(error).__name__}: {str(error)[:200]}"}


def _replay(path: Path, work: Mapping[str, Any]) -> dict[str, Any]:
    if work["on"] == CUT:
        with Trace(path) as trace:
            return {"parts": find_parts(trace, work["least"])}
    if "part" in work:
        report = replay_part(path, Part(*work["part"]), work["settings"])
    else:
        report = replay(path, work["on"], **work["settings"])
        apply_rules(report, path, work["rules"])
    return {"report": report_data(report), "recorded_driver": _recorded_driver(path, path.stat().st_mtime_ns)}


def apply_rules(report: Report, trace: Path, rules: str | None) -> None:
    """Apply the rules of a file to the report of a trace."""
    if rules is not None:
        with TracePair((trace,)) as calls:
            path = Path(rules)
            apply_policy(report, _read_rules(path, path.stat().st_mtime_ns), None, calls.at(0))


# The next pair often has the same trace, and always the same rules. A changed file is read again.
@lru_cache(maxsize=1)
def _read_rules(path: Path, _modified: int) -> list[DiffRule]:
    return load_rules(path, CALLS.values())


@lru_cache(maxsize=1)
def _recorded_driver(path: Path, _modified: int) -> str | None:
    with Trace(path) as trace:
        return driver_text([entry["told"] for entry in find_adapters(trace, ADAPTER, IDENTITY)])


def report_data(report: Report) -> dict[str, Any]:
    """Return a report as plain data: its JSON form, and what else `restore_report` needs."""
    return {
        **report.to_dict(),
        "findings": [
            {**vars(finding), **finding.to_dict(), "signature": signature(finding), "counts": finding.counts}
            for finding in report.findings
        ],
        "total": report.total,
        "functions": dict(report.functions),
        "not_compared": {reason: dict(counts) for reason, counts in report.not_compared.items()},
    }


def restore_report(data: Mapping[str, Any], names: tuple[str, str]) -> Report:
    """Return the report that `report_data` described, without its noise.

    Args:
        data: The data.
        names: Names of the trace and of the target.
    """
    return Report(
        names,
        calls=Counts(**{name: data["calls"][name] for name in vars(Counts())}),
        total=data["total"],
        findings=[restore_finding(finding) for finding in data["findings"]],
        notes=list(data["notes"]),
        functions=Counter(data["functions"]),
        not_compared=defaultdict(Counter, {reason: Counter(each) for reason, each in data["not_compared"].items()}),
        stopped=data["stopped"],
    )


def restore_finding(data: Mapping[str, Any]) -> Finding:
    """Return the finding that `report_data` described."""
    fields = {name: data[name] for name in _FINDING_FIELDS}
    return Finding(**{**fields, "repeats": tuple(data["repeats"]), "cause_side": data["cause_side"] or "a"})
