"""The demonstration: records a live program, replays its trace twice and names commands to try next."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import tracekmt
from tracekmt.errors import Error, RecordError, UsageError
from tracekmt.plural import plural
from tracekmt.replayer.engine import replay
from tracekmt.report.text import report_lines
from tracekmt.resources import resource
from tracekmt.trace.reader import Trace

LESS_VIDEO_MEMORY = "8MB"
PROGRAM_SECONDS = 20.0
TRACE, OUTCOME, LESS_MEMORY = FILES = ("demo.kmt", "outcome.kmt", "less-memory.kmt")

Say = Callable[[str], None]


def run_tour(folder: Path, *, live: bool, say: Say) -> int:
    """Record, replay and compare.

    Args:
        folder: Folder of the files, which remain.
        live: False to take the packaged recording.
        say: Prints a line.

    Returns:
        The exit status: 0, or 1 if a replay is not as expected.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create {folder}: {error.strerror}") from None
    trace = folder / TRACE
    if not live or not (_record(trace, say) or _record_own_process(trace, say)):
        say("Using the recording that comes with tracekmt: the same program, recorded on Linux.")
        trace.write_bytes(resource("traces", TRACE).read_bytes())
    say("")
    _summarise(trace, say)
    say("")
    say("Replaying it on a simulator of the recorded machine:")
    first = replay(trace, output=folder / OUTCOME, force=True)
    _print(list(report_lines(first)), say)
    say("")
    say(f"Replaying it with {LESS_VIDEO_MEMORY} of video memory on every adapter:")
    second = replay(trace, output=folder / LESS_MEMORY, force=True, video_memory=LESS_VIDEO_MEMORY)
    _print(list(report_lines(second)), say)
    say("")
    say(f"The files are in {folder}. Commands to try next:")
    say(f"    tracekmt dump {_quoted(trace)} --calls 'D3DKMTCreateAllocation2' -v")
    say(f"    tracekmt diff {_quoted(trace)} {_quoted(folder / LESS_MEMORY)}")
    say(f"    tracekmt replay {_quoted(trace)} --system-memory 1MB")
    return 0 if first.same and not second.same else 1


def _record(trace: Path, say: Say) -> bool:
    """Record a live program. Return False, after printing the reason, if the system does not allow it."""
    from tracekmt.record.process.targets import check_injection, open_device
    from tracekmt.record.session import Recording

    say("Recording a program with a simulated graphics kernel behind C addresses:")
    try:
        check_injection(open_device())
    except RecordError as error:
        say(f"Recording failed: {error}")
        return False
    with tempfile.TemporaryDirectory(prefix="tracekmt-demo-") as scratch:
        table = Path(scratch) / "thunks.json"
        program = subprocess.Popen(
            [sys.executable, "-m", "tracekmt.demo.program", str(table)], stdout=subprocess.PIPE, text=True
        )
        assert program.stdout is not None
        output = program.stdout
        relay = threading.Thread(target=_relay, args=(output, say), daemon=True)
        try:
            recording = Recording(trace, hand_over=table, force=True)
            recording.attach(program.pid)
            relay.start()
            # The end of its output is the end of the program. Popen.poll could mistake a stop during Frida's injection
            # for it.
            progress = recording.run(until=lambda: not relay.is_alive())
            relay.join(PROGRAM_SECONDS)
        except RecordError as error:
            say(f"Recording failed: {error}")
            return False
        finally:
            program.kill()
            program.wait()
    say(f"Recorded {plural(progress.calls, 'call')}, {plural(progress.lost, 'event')} lost.")
    return progress.calls > 0


def _record_own_process(trace: Path, say: Say) -> bool:
    """Play the program in this process and record it. Return False, after printing the reason, if that fails."""
    from tracekmt.demo import program
    from tracekmt.record.handover import HandOver

    say("Recording the same program in this process:")
    try:
        with tempfile.TemporaryDirectory(prefix="tracekmt-demo-") as scratch:
            table = HandOver(Path(scratch) / "thunks.json")
            thunks = program.offer(table)
            with tracekmt.recording(trace, thunks=table.path, force=True) as progress:
                program.play(thunks, say=lambda line: say(f"    {line}"))
    except Error as error:
        say(f"Recording failed: {error}")
        return False
    say(f"Recorded {plural(progress.calls, 'call')}, {plural(progress.lost, 'event')} lost.")
    return progress.calls > 0


def _relay(output: Iterable[str], say: Say) -> None:
    for line in output:
        say(f"    {line.rstrip()}")


def _summarise(path: Path, say: Say) -> None:
    with Trace(path) as trace:
        counts = Counter((call.name, call.status.name if call.status is not None else "-") for call in trace.calls())
        say(f"{path} has {plural(len(trace), 'call')} from {plural(len(trace.threads), 'thread')}:")
    for (name, status), count in counts.items():
        say(f"    {count:>3}  {name:<27}{status}")


def _print(lines: list[str], say: Say) -> None:
    for line in lines:
        say(f"    {line}" if line else "")


def _quoted(path: Path) -> str:
    """Return a path as an argument for every shell."""
    return f'"{path}"' if " " in str(path) else str(path)
