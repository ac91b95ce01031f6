"""Compares two traces: pairs their calls by content, then compares the inputs and the outcomes of each pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import compress
from operator import and_
from pathlib import Path
from typing import Any, Literal

from tracekmt.codec import FieldValue, iter_values
from tracekmt.differ.causes import Causes, Root
from tracekmt.differ.columns import NO_PARTNER, Outcomes, find_unchanged, gather, places_of
from tracekmt.differ.fast_path import same_spec
from tracekmt.differ.fields import FieldComparison
from tracekmt.differ.folding import Findings
from tracekmt.differ.history import History
from tracekmt.differ.noise import Noise, distance, note
from tracekmt.differ.pairing import pair_calls
from tracekmt.differ.read_history import read_histories
from tracekmt.differ.references import CallPair, Numbers, NumbersOfPair, References
from tracekmt.differ.slides import Slides
from tracekmt.findings import DIFF_SIDES, Finding, FindingKind, Report, Side
from tracekmt.spec.types import Kind
from tracekmt.trace.call import BoundValue
from tracekmt.trace.events import Region
from tracekmt.trace.reader import Trace, TracedCall

OnProgress = Callable[[int, int], None]
"""Receives the number of compared calls and the number of all calls."""

_SIDES: tuple[Side, Side] = ("a", "b")


def diff_traces(
    a: Path,
    b: Path,
    *,
    again: Sequence[Path] = (),
    outcomes_only: bool = False,
    jobs: int | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Report:
    """Compare two traces.

    Args:
        a: The first trace.
        b: The second trace.
        again: Other runs of the two sides, in any order. What varies between the runs of a side does not count.
        outcomes_only: Compare handles and outcomes, and no other inputs.
        jobs: Number of processes, of which two are used at most. None: see `number_of_jobs`.
        on_progress: Receives the number of compared calls and the number of all calls.
    """
    noise = Noise()
    for path in again:
        reports = [_compare(side, path, Noise(), outcomes_only=outcomes_only, jobs=jobs) for side in (a, b)]
        side: Side = "a" if distance(reports[0]) <= distance(reports[1]) else "b"
        noise.add(side, path, reports[0 if side == "a" else 1])
    report = _compare(a, b, noise, outcomes_only=outcomes_only, jobs=jobs, on_progress=on_progress)
    report.notes += note(noise, report.noise, report.names)
    return report


def _compare(
    a: Path,
    b: Path,
    noise: Noise,
    *,
    outcomes_only: bool,
    jobs: int | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Report:
    report = Report(names=(str(a), str(b)), sides=DIFF_SIDES)
    with Trace(a) as first, Trace(b) as second:
        report.calls.lost = first.lost + second.lost
        for trace in (first, second):
            report.notes += [trace.warning] if trace.warning else []
        histories = read_histories(first, second, jobs)
        _Diff(*histories, report, noise, outcomes_only=outcomes_only).run(on_progress)
    return report


class _Diff:
    """One comparison of two traces."""

    def __init__(self, left: History, right: History, report: Report, noise: Noise, *, outcomes_only: bool) -> None:
        self._histories: dict[Side, History] = {"a": left, "b": right}
        self._pairing = pair_calls(left, right)
        self._report = report
        self._report.total = len(left) + self._pairing.left.count(NO_PARTNER)
        self._outcomes_only = outcomes_only
        self._causes = Causes(self._histories, self._pairing)
        self._findings, self._noise_findings = Findings(), Findings()
        self._noise, self._noise_roots = noise, set[Root]()
        self._slides = Slides(left, right, self._pairing)
        self._references = References(left, right, self._pairing, list(left.names.paths))
        self._functions = list(left.names.functions)
        self._same_functions = _same_functions(left.trace, right.trace)

    def run(self, on_progress: OnProgress) -> None:
        """Compare all calls, and fill the report."""
        unpaired = [finding for side in _SIDES for finding in self._report_unpaired(side)]
        self._report_moved()
        unchanged = self._unchanged()
        self._count_unchanged(unchanged)
        for left in places_of(unchanged, 0):
            right = self._pairing.right[left]
            if right != NO_PARTNER:
                self._compare(self._pair(left, right))
                on_progress(left + 1, self._report.total)
        on_progress(self._report.total, self._report.total)
        late_causes = dict(self._late_causes(unpaired))
        self._report.findings += self._findings.finish(late_causes)
        self._report.noise += self._noise_findings.finish(late_causes)

    def _call(self, side: Side, position: int) -> TracedCall:
        history = self._histories[side]
        return history.trace[history.indexes[position]]

    def _report_unpaired(self, side: Side) -> Iterator[tuple[Side, int]]:
        """Report the calls of one side without counterpart. A run of them in one thread is one difference.

        Yields:
            Side and position of the first call of each run without a cause.
        """
        history, partners = self._histories[side], self._pairing.right if side == "a" else self._pairing.left
        for positions in history.by_thread().values():
            run_root, next_place = None, -1
            for place in places_of(gather(partners, positions), NO_PARTNER):
                position = positions[place]
                run_root, next_place = run_root if place == next_place else None, place + 1
                call = self._call(side, position)
                cause = run_root or self._causes.from_objects(side, position)
                if cause is None:
                    yield side, position
                run_root = self._add(_unpaired_finding(side, call), cause) or Root(side, call.index)
                self._causes.set_root(side, position, run_root, is_absent=True)
                self._causes.affect(side, history.affected(position, call), run_root)

    def _late_causes(self, unpaired: list[tuple[Side, int]]) -> Iterator[tuple[Root, Root]]:
        """Yield calls without counterpart whose objects do not exist on the other side, with the cause of that."""
        for side, position in unpaired:
            own = Root(side, self._histories[side].indexes[position])
            cause = self._causes.from_objects(side, position, absent_only=True)
            if cause is not None and cause != own:
                yield own, cause

    def _report_moved(self) -> None:
        for pairs in self._pairing.moved:
            left, right = pairs[0]
            call, other = self._call("a", left), self._call("b", right)
            repeats = [self._histories["a"].indexes[a] for a, _ in pairs[1:]]
            same_thread = self._pairing.threads.get(call.thread) == other.thread
            root = self._add(_moved_finding(call, other, repeats, same_thread=same_thread), None)
            assert root is not None
            for a, b in pairs:
                self._causes.set_root("a", a, root)
                self._causes.set_root("b", b, root)
                self._causes.affect("a", self._histories["a"].affected(a, self._call("a", a)), root)

    def _unchanged(self) -> bytes | bytearray:
        """Return 1 for each left call whose keys say that nothing differs. Most calls need not be read again."""
        left, right = self._histories.values()
        unchanged = find_unchanged(self._pairing.right, _outcomes(left), _outcomes(right), self._pairing.objects)
        if self._same_functions.issuperset(self._functions):
            return unchanged
        is_same = [function in self._same_functions for function in self._functions]
        return bytes(map(and_, unchanged, map(is_same.__getitem__, left.functions)))

    def _count_unchanged(self, unchanged: bytes | bytearray) -> None:
        for number, count in Counter(compress(self._histories["a"].functions, unchanged)).items():
            self._report.calls.compared += count
            self._report.functions[self._functions[number]] += count

    def _count(self, function: str) -> None:
        """Count a compared call."""
        self._report.calls.compared += 1
        self._report.functions[function] += 1

    def _pair(self, left: int, right: int) -> CallPair:
        call, other = self._call("a", left), self._call("b", right)
        numbers = (
            self._numbers(call.bound_inputs, self._histories["a"].inputs[left]),
            self._numbers(other.bound_inputs, self._histories["b"].inputs[right]),
        )
        return CallPair(left, right, call, other, numbers)

    def _compare(self, pair: CallPair) -> None:
        moved = self._causes.root_of("a", pair.left)
        inherited = moved or self._causes.of_pair(pair.left, pair.right)
        root: Root | None = None
        for finding in self._compare_inputs(pair, inherited):
            is_reference = finding.path in pair.inputs[0]
            cause = inherited if is_reference else moved or self._causes.of_number(finding)
            root = self._add(finding, cause) or root
        outcome_cause = root or inherited
        for finding in self._compare_outcomes(pair, outcome_cause):
            root = self._add(finding, outcome_cause or self._causes.of_number(finding)) or root
        if root is None:
            return
        is_absent = pair.call.succeeded != pair.other.succeeded
        for side, position, call in zip(_SIDES, pair[:2], pair[2:4], strict=True):
            self._causes.set_root(side, position, root, is_absent=is_absent)
            if is_absent:
                self._causes.affect(side, self._histories[side].affected(position, call), root)

    def _add(self, finding: Finding, cause: Root | None) -> Root | None:
        """Add a finding. Return its root, None if the finding is about contents of a driver."""
        is_noise = cause in self._noise_roots or (cause is None and self._noise.explain(finding) is not None)
        findings = self._noise_findings if is_noise else self._findings
        first = findings.add(_with_cause(finding, cause))
        if finding.kind == "opaque":
            return None
        root = cause or Root(finding.call_key[0], first)
        if is_noise:
            self._noise_roots.add(root)
        self._causes.add_number(finding, root)
        return root

    def _compare_inputs(self, pair: CallPair, cause: Root | None) -> Iterator[Finding]:
        call, other = pair.call, pair.other
        comparison = self._comparison(pair, "out", pair.inputs, cause)
        if self._outcomes_only or _is_same_memory(call, other, call.enter.regions, other.enter.regions):
            yield from comparison.bound_fields(call.bound_inputs, _by_path(other.bound_inputs))
            return
        for finding in comparison.fields(*_values(call, call.inputs, other, other.inputs)):
            if not self._slides.explain(call, finding):
                yield finding

    def _compare_outcomes(self, pair: CallPair, cause: Root | None) -> Iterator[Finding]:
        call, other = pair.call, pair.other
        if call.leave is None:
            self._report.calls.in_flight += 1
            return
        self._count(call.name)
        if call.outcome_text != other.outcome_text:
            finding = _finding("status", call, other, call.outcome_text, other.outcome_text)
            yield replace(finding, message="; ".join(_injections(call, other)))
        elif other.leave is not None:
            numbers = (
                self._numbers(call.bound_outputs, self._histories["a"].outputs[pair.left]),
                self._numbers(other.bound_outputs, self._histories["b"].outputs[pair.right]),
            )
            comparison = self._comparison(pair, "in", numbers, cause)
            if _is_same_memory(call, other, call.leave.regions, other.leave.regions):
                yield from comparison.bound_fields(call.bound_outputs, _by_path(other.bound_outputs))
            else:
                findings = list(comparison.fields(*_values(call, call.outputs, other, other.outputs)))
                passed = self._passed_through(pair) if any(each.kind == "field" for each in findings) else ()
                yield from (each for each in findings if (each.path, each.recorded, each.replayed) not in passed)

    def _passed_through(self, pair: CallPair) -> set[tuple[str | None, str | None, str | None]]:
        """Return the differences of inputs. An output with the same difference is an input that the call left alone."""
        comparison = self._comparison(pair, "out", pair.inputs, None)
        inputs = comparison.fields(*_values(pair.call, pair.call.inputs, pair.other, pair.other.inputs))
        return {(each.path, each.recorded, each.replayed) for each in inputs if each.kind in ("field", "input")}

    @staticmethod
    def _numbers(values: Sequence[BoundValue], numbers: Sequence[int]) -> Numbers:
        """Return the numbers of objects by path. The outputs of a failed call have none."""
        return dict(zip((bound.path for bound in values), numbers, strict=bool(numbers)))

    def _comparison(
        self, pair: CallPair, skipped: Literal["in", "out"], numbers: NumbersOfPair, cause: Root | None
    ) -> FieldComparison:
        def compare_bound(bound: BoundValue, kind: Kind, first: Any, second: Any) -> Iterator[Finding]:
            if skipped == "in" and not pair.call.succeeded:
                return  # handles have no defined value after a failed call
            for texts, message in self._references.compare(pair, numbers, bound, kind, (first, second)):
                finding_kind = comparison.field_kind if kind.binding == "range" else "handle"
                yield comparison.finding(finding_kind, bound, texts, message)

        def on_opaque(finding: Finding, first: bytes, second: bytes) -> None:
            self._findings.add_opaque(_with_cause(finding, cause), first, second)

        comparison = FieldComparison(
            pair.call,
            pair.other.index,
            compare_bound,
            on_opaque,
            skipped,
            same_addresses=False,
            sides=("in A", "in B"),
            absent="in A",
            specs=(pair.call.spec, pair.other.spec),
        )
        return comparison


def _outcomes(history: History) -> Outcomes:
    keys = history.outcome, history.plain, history.contents, history.offsets
    return Outcomes(history.is_exact, keys, history.inputs, history.outputs)


def _same_functions(first: Trace, second: Trace) -> set[str]:
    """Return the functions that both traces describe alike, in the same ABI."""
    if first.abi != second.abi:
        return set()
    others = {spec.name: spec for spec in second.specs.values()}
    specs = [spec for spec in first.specs.values() if spec.name in others]
    return {spec.name for spec in specs if same_spec(spec, others[spec.name])}


def _by_path(values: Sequence[BoundValue]) -> dict[str, BoundValue]:
    return {bound.path: bound for bound in values}


def _values(
    call: TracedCall, argument: Any, other: TracedCall, other_argument: Any
) -> tuple[list[FieldValue], dict[str, FieldValue]]:
    """Return the fields of an argument on both sides, those of the second one by path."""
    second = {value.path: value for value in iter_values(other.spec.argument, other_argument)}
    return list(iter_values(call.spec.argument, argument)), second


def _is_same_memory(call: TracedCall, other: TracedCall, first: Sequence[Region], second: Sequence[Region]) -> bool:
    """Return True if the memory of a call is equal on both sides, and means the same."""
    return first == second and call.abi == other.abi and same_spec(call.spec, other.spec)


def _with_cause(finding: Finding, cause: Root | None) -> Finding:
    return finding if cause is None else replace(finding, cause=cause.index, cause_side=cause.side)


def _finding(kind: FindingKind, call: TracedCall, other: TracedCall, first: str | None, second: str | None) -> Finding:
    return Finding(kind, call.name, call.index, other.index, call.thread, first, second, "")


def _injections(call: TracedCall, other: TracedCall) -> Iterator[str]:
    """Yield the faults that the recorder injected into either call."""
    for side, each in zip(_SIDES, (call, other), strict=True):
        if each.injection is not None:
            yield f"injected in {side.upper()}: {each.injection.text}"


def _unpaired_finding(side: Side, call: TracedCall) -> Finding:
    """Return the finding that a call exists on one side only."""
    is_missing = side == "a"
    return Finding(
        kind="missing" if is_missing else "extra",
        call=call.name,
        index=call.index if is_missing else None,
        other_index=None if is_missing else call.index,
        thread=call.thread,
        recorded=call.outcome_text if is_missing else None,
        replayed=None if is_missing else call.outcome_text,
        message=f"the call {'is missing' if is_missing else 'exists only'} in B",
    )


def _moved_finding(call: TracedCall, other: TracedCall, repeats: list[int], *, same_thread: bool) -> Finding:
    """Return the finding that a run of calls has another place in the second trace.

    Args:
        call: The first of the calls.
        other: Its counterpart.
        repeats: Indexes of the other calls of the run.
        same_thread: The calls are on the same thread on both sides.
    """
    what = f"{len(repeats) + 1} calls have" if repeats else "the call has"
    where = f"another place in B, from #{other.index} on" if repeats else f"another place in B: #{other.index}"
    message = f"{what} {where}{'' if same_thread else f', on thread {other.thread}'}"
    return replace(_finding("moved", call, other, None, None), message=message, repeats=tuple(repeats))
