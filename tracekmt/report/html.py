"""Formats a report as an HTML page.

The page is one file and makes no requests. Contents of a trace are embedded as data and displayed as text. Only the
page's own script can run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from tracekmt.findings import Report
from tracekmt.resources import resource

MAX_CALLS = 200
"""Maximum number of calls whose arguments the page contains."""

CallAt = Callable[[int], Any]
"""Returns the call of a trace with an index."""


def html_page(report: Report, call_at: CallAt | None = None, other_at: CallAt | None = None) -> str:
    """Return the page.

    Args:
        report: The report.
        call_at: Reads the recorded calls, if the page is to contain their arguments.
        other_at: Reads the calls of the other side.
    """
    style, script = (resource("pages", name).read_text("utf-8") for name in ("report.css", "report.js"))
    data = {
        "names": report.names,
        "verdict": report.verdict,
        **report.to_dict(),
        "structures": _arguments(report, call_at, other_at),
    }
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}"
    # Without "<", no text in the data can close the script element.
    data_text = json.dumps(data).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>tracekmt report</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<script type="application/json" id="data">{data_text}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _arguments(report: Report, call_at: CallAt | None, other_at: CallAt | None) -> dict[str, Any]:
    """Return the arguments of the first calls with a finding that is a cause, by both indexes."""
    by_indexes: dict[str, Any] = {}
    for finding in report.findings:
        if finding.cause is not None or len(by_indexes) >= MAX_CALLS:
            continue
        key = f"{finding.index}/{finding.other_index}"
        if key not in by_indexes:
            by_indexes[key] = {
                "recorded": _argument(call_at, finding.index),
                "replayed": _argument(other_at, finding.other_index),
            }
    return by_indexes


def _argument(call_at: CallAt | None, index: int | None) -> Any:
    if call_at is None or index is None:
        return None
    call = call_at(index).to_json()
    return {"in": call["in"], "out": call["out"], "status": call.get("status")}
