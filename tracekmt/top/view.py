"""Live view on a terminal, with the library Textual."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable, Static

from tracekmt.activity.current import Snapshot
from tracekmt.errors import Error
from tracekmt.printable import printable
from tracekmt.text.units import format_size

_COLUMNS = ("function", "calls/s", "calls", "failed")
_FAILING_SHOWN, _MEMBERS_SHOWN, _MEMBER_LENGTH = 3, 12, 100


class _Published(Message):
    """A snapshot of the recording."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class _Finished(Message):
    """The recording has ended."""


class TopView(App[None]):
    """View of a recording in progress. It ends with q or Ctrl-C.

    Args:
        target: The program or process, for the first line.
        record: Records in another thread, until `is_stopping` is true or the process ends.

    Attributes:
        error: Error of the recording, None if it did not fail.
    """

    CSS = "DataTable { height: 1fr; } Static { height: auto; padding: 0 1; } #last { color: $error; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Quit"),
        Binding("ctrl+c", "leave", "Quit", priority=True),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, target: str, record: Callable[[], object]) -> None:
        super().__init__()
        self.error: Error | None = None
        self._target = target
        self._record = record
        self._stopping = threading.Event()
        self._recorder = threading.Thread(target=self._run_recording, name="tracekmt-top")

    def is_stopping(self) -> bool:
        """Return True if the user has ended the view."""
        return self._stopping.is_set()

    def publish(self, snapshot: Snapshot) -> None:
        """Show a snapshot. The recording calls this in its thread."""
        self.post_message(_Published(snapshot))

    def compose(self) -> ComposeResult:
        """Create the lines and the table."""
        yield Static(id="summary")
        yield Static(id="memory")
        yield DataTable(id="functions", cursor_type="none", zebra_stripes=True)
        yield Static(id="failing")
        yield Static(id="last")

    def on_mount(self) -> None:
        """Begin to record."""
        table = self.query_one("#functions", DataTable)
        for name in _COLUMNS:
            table.add_column(name, key=name)
        self._set("summary", f"{self._target}: no call so far  (q to leave)")
        self._recorder.start()

    def action_leave(self) -> None:
        """End the recording. The process goes on."""
        self._stopping.set()
        if not self._recorder.is_alive():
            self.exit()

    @on(_Published)
    def show(self, message: _Published) -> None:
        """Show a snapshot."""
        snapshot = message.snapshot
        table = self.query_one("#functions", DataTable)
        table.clear()
        for function in snapshot.functions:
            numbers = (
                f"{function.rate:,.0f}",
                f"{function.calls:,}",
                f"{function.failed:,}" if function.failed else "",
            )
            table.add_row(Text(printable(function.name)), *(Text(number, justify="right") for number in numbers))
        state = f"{snapshot.ended}  (q to leave)" if snapshot.ended else f"{snapshot.elapsed:.0f} s  (q to leave)"
        lost = f", {snapshot.lost:,} lost events" if snapshot.lost else ""
        lost += f", {snapshot.behind:.0f} s behind" if snapshot.behind >= 1 else ""
        self._set("summary", f"{self._target}: {snapshot.rate:,.0f} calls/s, {snapshot.calls:,} calls{lost}; {state}")
        self._set("memory", _memory_line(snapshot))
        self._set("failing", _failing_lines(snapshot))
        self._set("last", _last_failed_lines(snapshot))

    @on(_Finished)
    def leave_at_end(self, message: _Finished) -> None:
        """Leave if the user has ended the view, or if the recording failed. Otherwise the last numbers stay."""
        if self.is_stopping() or self.error is not None:
            self.exit()

    def finish(self) -> None:
        """End the recording, if it has not ended, and wait for its end. Call this after `run`."""
        self._stopping.set()
        if self._recorder.ident is None:
            self._recorder.start()
        self._recorder.join()

    def _run_recording(self) -> None:
        try:
            self._record()
        except Error as error:
            self.error = error
        self.post_message(_Finished())

    def _set(self, name: str, text: str) -> None:
        self.query_one(f"#{name}", Static).update(Text(text))


def _memory_line(snapshot: Snapshot) -> str:
    memory = snapshot.memory
    sizes = ", ".join(f"{format_size(memory[name])} {name}" for name in ("requested", "resident", "offered"))
    unsized = f", {memory['unsized']:,} allocations of unknown size" if memory["unsized"] else ""
    objects = ", ".join(f"{count:,} {kind}" for kind, count in snapshot.objects.items())
    return f"memory: {sizes}{unsized}\nobjects: {printable(objects) or 'none'}"


def _failing_lines(snapshot: Snapshot) -> str:
    lines = [f"{count:>8,}  {printable(name)}  {status}" for name, status, count in snapshot.failing[:_FAILING_SHOWN]]
    if len(snapshot.failing) > _FAILING_SHOWN:
        lines.append(f"          and {len(snapshot.failing) - _FAILING_SHOWN:,} more")
    return "\n".join(["failures:", *lines]) if lines else "failures: none"


def _last_failed_lines(snapshot: Snapshot) -> str:
    call = snapshot.last_failed
    if call is None:
        return ""
    lines = [f"last failing call: #{call['index']}  thread {call['thread']}  {call['call']}  {call['status']}"]
    members = call["in"] if isinstance(call["in"], dict) else {}
    texts = [
        f"{name}={value}"[:_MEMBER_LENGTH] for name, value in members.items() if value and value not in ("0x0", "0")
    ]
    lines += [f"  {'  '.join(texts[:_MEMBERS_SHOWN])}"] if texts else []
    return "\n".join(map(printable, lines))
