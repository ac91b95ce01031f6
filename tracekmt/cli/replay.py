"""tracekmt replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracekmt.cli.options import Views, compare_and_report, force_option, report_options


@click.command("replay", short_help="Replay a trace on a target and compare the outcomes.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--on", "target", default="simulator", metavar="TARGET", show_default=True, help="What to replay on.")
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
    output: Path | None,
    force: bool,
    **views: Any,
) -> int:
    """Replay the calls of TRACE and say where statuses, handles and written data differ from the recording.

    A trace that says on which simulated machine it was recorded is replayed on a like one; the options go before.
    """
    from tracekmt.cli.console import progress_bar
    from tracekmt.replayer import replay

    with progress_bar("replaying") as advance:
        return compare_and_report(
            lambda: replay(
                trace,
                target,
                output=output,
                force=force,
                on_progress=advance,
                profile=profile,
                video_memory=video_memory,
                system_memory=system_memory,
                faults=faults or None,
            ),
            (trace, *([output] if output is not None else [])),
            Views(**views, force=force),
        )
