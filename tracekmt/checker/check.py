"""Checks a whole trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tracekmt.checker.fences import Fences
from tracekmt.checker.gpu_ranges import GpuRanges
from tracekmt.checker.lifetimes import NeverDestroyed, UseAfterDestroy
from tracekmt.checker.locks import UnlockWithoutLock
from tracekmt.checker.rule import Check, misuse
from tracekmt.checker.storms import Storms
from tracekmt.findings import Finding, Report
from tracekmt.objects.lifetimes import Lifetimes
from tracekmt.replayer.engine import replay
from tracekmt.simulator.behaviours import describe_rules
from tracekmt.trace.parallel import number_of_jobs, second_process
from tracekmt.trace.reader import Trace

RULES = "rules of the interface"
"""Name of the other side in reports."""

KNOWN = ("Windows-verified", "Microsoft source", "documentation")
"""Confidence of the rules that a finding may cite."""


def check_trace(
    path: Path, on_progress: Callable[[int, int], None] = lambda done, total: None, jobs: int | None = None
) -> Report:
    """Find misuse of the interface in a trace.

    Args:
        path: The trace.
        on_progress: Receives the number of checked calls and the number of all calls.
        jobs: Number of processes, of which two are used at most. None: see `number_of_jobs`.

    Returns:
        A report whose findings have the kind "misuse", in the order of the calls.

    Raises:
        TraceError: The trace cannot be read.
    """
    with Trace(path) as trace:
        report = Report(names=(str(path), RULES), total=len(trace), is_check=True)
        report.calls.compared, report.calls.lost = len(trace), trace.lost
        report.notes += [trace.warning] if trace.warning else []
        with second_process(number_of_jobs(jobs, trace), _refused, path) as refused:
            findings = list(_misuse(trace, on_progress))
            known = {finding.index for finding in findings}
            findings += (finding for finding in refused() if finding.index not in known)
    report.findings = sorted(findings, key=lambda finding: finding.index or 0)
    return report


def _misuse(trace: Trace, on_progress: Callable[[int, int], None]) -> Iterator[Finding]:
    """Yield the findings of all checks that watch the calls."""
    checks: list[Check] = [UseAfterDestroy(), NeverDestroyed(), UnlockWithoutLock(), GpuRanges(), Fences(), Storms()]
    lifetimes = Lifetimes()
    for call, is_leave in trace.call_events():
        if is_leave:
            created, destroyed = lifetimes.on_leave(call)
            for check in checks:
                yield from check.on_leave(call, lifetimes.bindings, created, destroyed)
            on_progress(call.index + 1, len(trace))
        else:
            for check in checks:
                yield from check.on_enter(call, lifetimes.bindings)
            lifetimes.on_enter(call)
    # A process that goes on may still destroy its objects.
    is_complete = trace.damage is None and trace.ended is not None and "goes on" not in trace.ended
    for check in checks:
        yield from check.at_end(lifetimes.bindings, is_complete=is_complete)


def _refused(path: Path) -> list[Finding]:
    """Return the calls that a known rule refuses although they succeeded.

    After a recorded failure that the simulator does not explain, it has other objects than the recording.
    """
    findings: list[Finding] = []
    with Trace(path) as trace:
        for finding in replay(path).findings:
            if finding.kind != "status" or finding.index is None or finding.cause is not None:
                continue
            call = trace[finding.index]
            if not call.succeeded:
                break
            for rule in describe_rules(call.name)["rules"]:
                if finding.message == f"{rule['what']} ({rule['source']})" and rule["confidence"] in KNOWN:
                    message = f"{finding.message}: the rule gives {finding.replayed}"
                    findings.append(misuse(call, "refused by a rule", message))
                    break
    return findings
