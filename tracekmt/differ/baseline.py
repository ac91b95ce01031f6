"""Known findings, accepted by what they have in common: a file for version control, sorted, one line for each."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from tracekmt.errors import UsageError
from tracekmt.findings import Finding, Report

VERSION = 1
_INDEX = re.compile(r"#\d+")


def signature(finding: Finding) -> str:
    """What a finding has in common with its like in another recording: where calls stand does not count."""
    return _INDEX.sub("#", finding.group)


def read_baseline(path: Path) -> set[str]:
    """The signatures in a file."""
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["version"] != VERSION:
            raise UsageError(f"{path}: is of version {found['version']}; this tracekmt reads version {VERSION}")
        if not isinstance(found["findings"], list):
            raise TypeError
        return set(map(str, found["findings"]))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; --update-baseline writes it") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UsageError(f"{path}: is no baseline") from None


def write_baseline(path: Path, report: Report) -> int:
    """Write what a report has found; how many signatures that is."""
    known = sorted({signature(finding) for finding in report.findings if finding.counts})
    try:
        text = json.dumps({"version": VERSION, "findings": known}, indent=1)
        path.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    return len(known)


def apply_baseline(report: Report, known: set[str], path: Path) -> None:
    """Accept what is known; what is known and was not found becomes a note."""
    met = set()
    for place, finding in enumerate(report.findings):
        if finding.counts and signature(finding) in known and finding.demanded is None:
            met.add(signature(finding))
            report.findings[place] = replace(finding, accepted=f"known ({path.name})")
    gone = sorted(known - met)
    if gone:
        report.notes.append(f"{path}: {len(gone)} known findings did not occur: {'; '.join(gone[:3])}")
