"""The command line: one module for each command, imported when the command runs."""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import sys
import traceback
from typing import Any

import click

from tracekmt.budgets import raise_budgets
from tracekmt.cli.output import echo
from tracekmt.errors import Error
from tracekmt.version import VERSION

BISECT_SKIP = 125
"""Exit status that makes `git bisect run` skip a commit."""

_COLLECTION_THRESHOLDS = (100_000, 20, 100)
"""Thresholds of the garbage collector. Commands keep the objects of many calls alive, and few of them are in cycles.
With Python's threshold of 700 objects, a check of 100,000 calls took 1.6 times as long (Python 3.11)."""

COMMANDS = (
    *("demo", "record", "top", "run", "torture", "replay", "matrix", "merge", "diff", "check", "dump", "info", "stats"),
    *("report", "trim", "minimize", "recover", "convert", "sql", "calls", "atlas", "doctor"),
)


class _Commands(click.Group):
    """The commands by name. A command is imported when it is requested."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"tracekmt.cli.{cmd_name}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="tracekmt", help="Print the version and exit.")
@click.option(
    "--budgets",
    type=int,
    envvar="TRACEKMT_BUDGETS",
    metavar="N",
    help="Multiply the memory and the time that reading a trace may take by N.",
)
def cli(budgets: int | None) -> None:
    """Record, replay and compare D3DKMT calls, the thunks of the Windows graphics kernel.

    Exit status: 0 no differences, or done; 1 differences; 2 the command failed.
    """
    if budgets is not None:
        raise_budgets(budgets)


def main() -> None:
    """Run the command line and exit.

    Errors are one or two lines on stderr, with exit status 2.
    """
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    _escape_missing_characters()
    sys.exit(_run())


def _run() -> int:
    try:
        result: Any = cli.main(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "tracekmt"
        status = _fail(f"{error.format_message()}\n(see {command} --help)")
        return BISECT_SKIP if "--bisect" in sys.argv else status
    except click.ClickException as error:
        return _fail(error.format_message())
    except Error as error:
        return _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted")
    except (BrokenPipeError, SystemExit):
        return _end_quietly()
    except OSError as error:
        if sys.platform == "win32" and error.errno == errno.EINVAL and error.filename is None:
            return _end_quietly()  # Windows' answer to a write into a closed pipe
        return _fail(f"{error.filename or 'system error'}: {error.strerror}")
    except Exception as error:
        if os.environ.get("TRACEKMT_DEBUG"):
            traceback.print_exc()
        return _fail(
            f"internal error in tracekmt: {type(error).__name__}: {str(error)[:200]}\n"
            "(please report it; TRACEKMT_DEBUG=1 prints the traceback)"
        )


def _end_quietly() -> int:
    """Return the status after the reader of the output closed the pipe. click's is 1, which would mean differences."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 2


def _escape_missing_characters() -> None:
    """Print characters that the encoding of the output lacks as escapes, for example in a code page of Windows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str) -> int:
    echo(f"tracekmt: {message}", err=True)
    return 2
