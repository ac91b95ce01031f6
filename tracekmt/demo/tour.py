"""The demonstration: a live program is recorded, its trace replayed twice, and told what to try next."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tracekmt.errors import RecordError, UsageError
from tracekmt.replayer.engine import replay
from tracekmt.report.text import report_lines
from tracekmt.resources import resource
from tracekmt.trace.reader import Trace

LESS_VIDEO_MEMORY = "8MB"
PROGRAM_SECONDS = 20.0
TRACE = "demo.kmt"

Say = Callable[[str], None]


def run_tour(folder: Path, *, live: bool, say: Say) -> int:
    """Show the whole job; files are left in `folder`. The exit status: 0, or 1 if the replay is not the same."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}") from None
    trace = folder / TRACE
    if not live or not _record(trace, say):
        say("Taking the recording that comes with tracekmt: the same program, recorded on Linux.")
        trace.write_bytes(resource("traces", TRACE).read_bytes())
    say("")
    _tell(trace, say)
    say("")
    say("Replaying it on a simulator of the machine that it was recorded on:")
    first = replay(trace, output=folder / "outcome.kmt", force=True)
    _print(list(report_lines(first)), say)
    say("")
    say(f"Replaying it where every adapter has {LESS_VIDEO_MEMORY} of video memory:")
    second = replay(trace, output=folder / "less-memory.kmt", force=True, video_memory=LESS_VIDEO_MEMORY)
    _print(list(report_lines(second)), say)
    say("")
    say(f"The files are in {folder}. Go on with:")
    say(f"    tracekmt dump {trace} --calls 'D3DKMTCreateAllocation2'")
    say(f"    tracekmt diff {trace} {folder / 'less-memory.kmt'}")
    say(f"    tracekmt replay {trace} --system-memory 1MB")
    return 0 if first.same and not second.same else 1


def _record(trace: Path, say: Say) -> bool:
    """Record a live program; False where the system does not allow it, which is said."""
    from tracekmt.record.session import Recording

    say("Starting a program with a simulated graphics kernel behind C addresses, and recording it with Frida:")
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
            # Its output ends with it. To poll it would take a stop under Frida's injection for its end.
            progress = recording.run(until=lambda: not relay.is_alive())
            relay.join(PROGRAM_SECONDS)
        except RecordError as error:
            say(f"It cannot be recorded here: {error}")
            return False
        finally:
            program.kill()
            program.wait()
    say(f"Recorded {progress.calls} calls, {progress.lost} events lost.")
    return progress.calls > 0


def _relay(output: Iterable[str], say: Say) -> None:
    for line in output:
        say(f"    {line.rstrip()}")


def _tell(path: Path, say: Say) -> None:
    with Trace(path) as trace:
        counts = Counter((call.name, call.status.name if call.status is not None else "-") for call in trace.calls())
        say(f"{path} holds {len(trace)} calls from {len(trace.threads)} threads:")
    for (name, status), count in counts.items():
        say(f"    {count:>3}  {name:<27}{status}")


def _print(lines: list[str], say: Say) -> None:
    for line in lines:
        say(f"    {line}" if line else "")
