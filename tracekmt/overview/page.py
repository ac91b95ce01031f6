"""Formats the numbers of a trace as an HTML page.

The page is one file, makes no requests and has no script. Contents of a trace are escaped text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tracekmt.overview.call_sections import calls, failures, slowest, threads, under_way
from tracekmt.overview.memory_sections import leaks, memory, objects
from tracekmt.overview.parts import Data, duration_text, omitted, paragraph, share_of
from tracekmt.overview.tables import table
from tracekmt.plural import plural
from tracekmt.report.markup import document, escaped
from tracekmt.report.summary import labelled_lines
from tracekmt.resources import resource
from tracekmt.text.units import format_size

MODULE_ROWS = 40


def page(data: Data) -> str:
    """Return the page.

    Args:
        data: Numbers of a trace; see `gather`.
    """
    style = "".join(resource("pages", name).read_text("utf-8") for name in ("report.css", "overview.css"))
    sections = [
        *([("under-way", "Calls that did not return", under_way(data))] if data["did_not_return"] else []),
        ("calls", "Calls over time", calls(data)),
        ("failures", "Failures", failures(data)),
        ("slowest", "Slowest calls", slowest(data)),
        ("memory", "Memory over time", memory(data)),
        ("objects", "Objects over time", objects(data)),
        ("leaks", "Never destroyed", leaks(data)),
        ("threads", "Threads", threads(data)),
        ("origin", "Origin", _origin(data)),
    ]
    links = " ".join(f'<a href="#{name}">{title}</a>' for name, title, _ in sections)
    body = [*_head(data), f"<nav>{links}</nav>", "<main>"]
    for name, title, parts in sections:
        body += [f'<section id="{name}"><h2>{title}</h2>', *(part for part in parts if part), "</section>"]
    return document(f"{_program(data)}: {plural(data['calls'], 'call')}", style, "\n".join([*body, "</main>"]))


def _program(data: Data) -> str:
    """Return the name of the recorded program, or of the trace if the program is unknown."""
    return str(data["origin"]["process"].get("name") or Path(data["trace"]).name)


def _moment(created: str) -> str:
    """Return the time of a recording without fractions, or as it stands in the trace if its form is another one."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?\+00:00", created)
    return f"{match[1]} {match[2]} UTC" if match else created


def _head(data: Data) -> Iterator[str]:
    origin, name = data["origin"], Path(data["trace"]).name
    yield f"<header><h1>{escaped(_program(data))}</h1>"
    recorded = f", recorded {_moment(str(origin['created']))}" if origin["created"] else ""
    tool = f" by {origin['tool']}" if origin["tool"] else ""
    yield f'<p class="origin-line">{escaped(name)}, {escaped(origin["abi"])}{escaped(recorded)}{escaped(tool)}</p>'
    yield from (f'<p class="warning">{escaped(warning)}</p>' for warning in _warnings(data))
    yield f'<dl class="tiles">{"".join(_tiles(data))}</dl>'
    facts = "".join(f"<li>{escaped(fact)}</li>" for fact in _facts(data))
    yield (f'<ul class="facts">{facts}</ul>' if facts else "") + "</header>"


def _warnings(data: Data) -> Iterator[str]:
    """Yield reasons why the numbers may be incomplete."""
    origin = data["origin"]
    if origin["torn"]:
        yield f"The trace is damaged: {origin['torn']}. The calls before the damage are complete."
    elif not origin["ended"]:
        yield "The recording did not finish. Its last calls may be missing."
    if origin["lost"]:
        yield f"{plural(origin['lost'], 'event')} could not be recorded. Numbers of calls and objects are too small."
    if origin["trimmed"]:
        yield f"The trace is a part of another one: {origin['trimmed']}"
    if origin["redacted"]:
        yield f"The trace is redacted: {origin['redacted']}. Hashes replace them."
    if origin["undescribed"]:
        names = ", ".join(f"{entry['call']} ({entry['count']:,})" for entry in origin["undescribed"][:10])
        yield f"Functions without a description, whose objects are unknown: {names}"


def _tiles(data: Data) -> Iterator[str]:
    numbers, origin = data["memory"], data["origin"]
    yield _tile("calls", f"{data['calls']:,}", f"in {plural(len(data['threads']), 'thread')}")
    yield _tile("duration", duration_text(data["duration_ns"]), "first to last event")
    failed = f"{share_of(data['failed'], data['calls'])} of the calls" if data["failed"] else "no call failed"
    yield _tile("failed", f"{data['failed']:,}", failed, is_bad=data["failed"] > 0)
    if not data["did_not_return"]:
        missing = "every call returned"
    elif origin["abandoned"]:
        missing = f"{origin['abandoned']:,} by a jump or an exception"
    else:
        missing = "under way at the end"
    yield _tile("did not return", f"{data['did_not_return']:,}", missing, is_bad=data["did_not_return"] > 0)
    if numbers["requested"]["peak"]:
        yield _tile(
            "most memory",
            format_size(numbers["requested"]["peak"]),
            f"at {duration_text(numbers['requested']['peak_ns'])}",
        )
    if numbers["trims"]["count"]:
        count, size = numbers["trims"]["count"], numbers["trims"]["bytes"]
        yield _tile("asked to trim", plural(count, "time"), f"{format_size(size)} in all", is_bad=True)
    left = sum(leak["count"] for leak in data["leaks"] if not leak["external"])
    created = sum(entry["created"] for entry in data["objects"])
    yield _tile("never destroyed", f"{left:,}", f"of {plural(created, 'object')}", is_bad=left > 0)


def _tile(name: str, value: str, note: str, *, is_bad: bool = False) -> str:
    bad = ' class="bad"' if is_bad else ""
    return f"<div><dt>{escaped(name)}</dt><dd{bad}>{escaped(value)}</dd><dd>{escaped(note)}</dd></div>"


def _facts(data: Data) -> Iterator[str]:
    """Yield sentences with the facts that a reader wants first."""
    in_flight = [entry for entry in data["under_way"] if not entry["abandoned"]]
    if in_flight:
        last = in_flight[-1]
        noun = (
            "The call that was under way at the end"
            if len(in_flight) == 1
            else "The last call that was under way at the end"
        )
        yield f"{noun}: #{last['index']} {last['call']} on thread {last['thread']}."
    yield f"End of the recording: {data['origin']['ended'] or 'missing'}."
    if data["failures"]:
        worst = data["failures"][0]
        yield f"The most frequent failure: {worst['call']} with {worst['status']}, {plural(worst['calls'], 'time')}."
    for entry in data["origin"]["injected"]:
        yield f"Injected by the recorder: {entry['fault']} in {plural(entry['calls'], 'call')}."
    for budget in data["memory"]["budgets"]:
        if budget["over"]:
            name = f"{budget['group']} budget of adapter {budget['adapter']}"
            yield f"The program was over its {name} in {budget['over']} of {plural(budget['answers'], 'answer')}."
    if data["slowest"]:
        slow = data["slowest"][0]
        yield f"The slowest call that does not wait: #{slow['index']} {slow['call']}, {duration_text(slow['time_ns'])}."


def _origin(data: Data) -> Iterator[str]:
    lines = []
    for label, text in labelled_lines({**data["origin"], "trace": Path(data["trace"]).name}):
        if label != "modules":  # They have a table.
            lines.append(f"{f'<dt>{escaped(label)}</dt>' if label else ''}<dd>{escaped(text)}</dd>")
    yield f'<dl class="facts-list">{"".join(lines)}</dl>'
    modules = data["origin"]["modules"]
    if modules:
        yield "<h3>Modules</h3>"
        yield table(
            ("module", "#base", "#size", "path"),
            (
                (module["name"], module["base"], format_size(module["size"]), module["path"])
                for module in modules[:MODULE_ROWS]
            ),
        )
        yield omitted(len(modules), MODULE_ROWS, "module", "tracekmt info --modules has all")
    yield paragraph(f"{data['intervals']} intervals of time; tracekmt report --json has the numbers of this page.")
