"""tracekmt replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracekmt.cli.options import ReportOptions, compare_and_report, force_option, report_options

_OF_THUNKS = ("adapter", "keep_going", "foreign_driver", "allow", "max_allocations", "max_video_memory")


@click.command("replay", short_help="Replay a trace on a target and compare the outcomes.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option(
    "--on",
    "target",
    default="simulator",
    metavar="TARGET",
    show_default=True,
    help="What to replay on: simulator, thunks (this system's), thunks:LIBRARY.",
)
@click.option(
    "--profile",
    metavar="NAME",
    help="Of the simulator: windows, wsl, wine, or a TOML file.  [default: windows]",
)
@click.option("--video-memory", metavar="SIZE", help="Budget of every simulated adapter: 64MB, 2GB.")
@click.option("--system-memory", metavar="SIZE", help="Budget of the simulated machine.")
@click.option(
    "--fail",
    "faults",
    multiple=True,
    metavar="FUNCTION@N=STATUS",
    help="Let the Nth call of a function fail (N+M: and every Mth after it; ... if in.FIELD > 1); may be repeated. "
    "adapter@N=stopped, video_memory@N=SIZE: before call N.",
)
@click.option("--adapter", metavar="HIGH:LOW", help="Of thunks: the LUID of the adapter to take; doctor lists them.")
@click.option("--timeout", metavar="TIME", help="Of thunks: how long a call may take.  [default: 10s]")
@click.option("--keep-going", is_flag=True, help="Of thunks: after a crash or a hang go on behind it.")
@click.option("--foreign-driver", is_flag=True, help="Of thunks: although the trace is of another build of the driver.")
@click.option(
    "--allow",
    multiple=True,
    metavar="GLOB",
    help="Of thunks: send these functions although they may disturb the machine; may be repeated.",
)
@click.option("--max-allocations", type=click.IntRange(min=1), metavar="N", help="Of thunks: stop before more live.")
@click.option("--max-video-memory", metavar="SIZE", help="Of thunks: stop before more is taken.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUTCOME.kmt",
    help="Write what was sent and answered as a trace.",
)
@force_option
@report_options
def command(
    trace: Path,
    target: str,
    profile: str | None,
    video_memory: str | None,
    system_memory: str | None,
    faults: tuple[str, ...],
    timeout: str | None,
    output: Path | None,
    force: bool,
    **others: Any,
) -> int:
    """Replay the calls of TRACE and say where statuses, handles and written data differ from the recording.

    A trace that says on which simulated machine it was recorded is replayed on a like one; the options go before.

    On thunks the calls reach the real kernel and driver: what is going to be done is shown first, and functions that
    disturb the machine are left out.
    """
    from tracekmt.cli.console import progress_bar
    from tracekmt.replayer.engine import replay
    from tracekmt.report.calls import printable
    from tracekmt.text.units import parse_duration

    on_thunks = {name: others.pop(name) for name in _OF_THUNKS}

    with progress_bar("replaying") as advance:
        return compare_and_report(
            lambda: replay(
                trace,
                target,
                output=output,
                force=force,
                on_progress=advance,
                on_plan=lambda lines: click.echo("\n".join(map(printable, lines)), err=True),
                timeout=None if timeout is None else parse_duration(timeout),
                **on_thunks,
                profile=profile,
                video_memory=video_memory,
                system_memory=system_memory,
                faults=faults or None,
            ),
            (trace, *([output] if output is not None else [])),
            ReportOptions(**others, force=force),
        )
