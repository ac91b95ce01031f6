"""Findings as a page: one file that needs no other and asks nobody for anything. What comes from a trace is data in it
and is shown as text; no script but the page's own can run there."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from tracekmt.findings import Report
from tracekmt.resources import resource

MAX_CALLS = 200
"""How many calls are shown with their structures."""

CallAt = Callable[[int], Any]


def html_page(report: Report, call_at: CallAt | None = None, other_at: CallAt | None = None) -> str:
    """The page. call_at, other_at: the calls of either side, where they are at hand, for their structures."""
    style, script = (resource("pages", name).read_text("utf-8") for name in ("report.css", "report.js"))
    data = {
        "names": report.names,
        "verdict": report.verdict,
        **report.to_dict(),
        "structures": _structures(report, call_at, other_at),
    }
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}"
    # Nothing in the data can end the element that it stands in.
    told = json.dumps(data).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>tracekmt report</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<script type="application/json" id="data">{told}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _structures(report: Report, call_at: CallAt | None, other_at: CallAt | None) -> dict[str, Any]:
    """The arguments of the calls that findings begin with, on both sides."""
    found: dict[str, Any] = {}
    for finding in report.findings:
        if finding.cause is not None or len(found) >= MAX_CALLS:
            continue
        key = f"{finding.index}/{finding.other_index}"
        if key not in found:
            found[key] = {
                "recorded": _told(call_at, finding.index),
                "replayed": _told(other_at, finding.other_index),
            }
    return found


def _told(call_at: CallAt | None, index: int | None) -> Any:
    if call_at is None or index is None:
        return None
    told = call_at(index).to_json()
    return {"in": told["in"], "out": told["out"], "status": told.get("status")}
