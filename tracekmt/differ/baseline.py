"""Known findings, accepted by signature.

A baseline is a JSON file for version control: sorted, one signature a line.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from tracekmt.errors import UsageError
from tracekmt.findings import Finding, Report
from tracekmt.plural import plural

VERSION = 1
_INDEX = re.compile(r"#\d+")


def signature(finding: Finding) -> str:
    """Return the part of a finding that is equal in other recordings: its group without indexes of calls."""
    return _INDEX.sub("#", finding.group)


def read_baseline(path: Path) -> set[str]:
    """Return the signatures in a baseline."""
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["version"] != VERSION:
            raise UsageError(f"{path}: invalid baseline version: {document['version']} (expected {VERSION})")
        if not isinstance(document["findings"], list):
            raise TypeError
        return set(map(str, document["findings"]))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror} (--update-baseline writes it)") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UsageError(f"{path}: invalid baseline") from None


def write_baseline(path: Path, report: Report) -> int:
    """Write the signatures of all findings that count, and return the number of signatures."""
    signatures = sorted({signature(finding) for finding in report.findings if finding.counts})
    try:
        text = json.dumps({"version": VERSION, "findings": signatures}, indent=1)
        path.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    return len(signatures)


def apply_baseline(report: Report, signatures: set[str], path: Path) -> None:
    """Accept the findings in a baseline. Signatures without a finding become a note."""
    occurred = set()
    for position, finding in enumerate(report.findings):
        if finding.counts and signature(finding) in signatures and finding.required is None:
            occurred.add(signature(finding))
            report.findings[position] = replace(finding, accepted=f"known ({path.name})")
    missing = sorted(signatures - occurred)
    if missing:
        report.notes.append(f"{path}: {plural(len(missing), 'known finding')} did not occur: {'; '.join(missing[:3])}")
