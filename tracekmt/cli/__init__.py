"""The command line: one module for each command, imported when the command runs."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

import click

from tracekmt.errors import Error
from tracekmt.version import VERSION

BISECT_SKIP = 125
"""Exit status that makes `git bisect run` skip a commit."""

COMMANDS = (
    *("demo", "record", "replay", "diff", "check", "dump", "info", "stats"),
    *("trim", "recover", "convert", "calls", "doctor"),
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
def cli() -> None:
    """Record, replay and compare D3DKMT calls, the thunks of the Windows graphics kernel.

    Exit status: 0 no differences, or done; 1 differences; 2 the command failed.
    """


def main() -> None:
    """Run the command line and exit.

    Errors are one or two lines on stderr, with exit status 2.
    """
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
        # The reader of the output closed the pipe. click exits with 1 in that case, which would mean differences.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except OSError as error:
        return _fail(f"{error.filename or 'system error'}: {error.strerror}")
    except Exception as error:
        if os.environ.get("TRACEKMT_DEBUG"):
            traceback.print_exc()
        return _fail(
            f"internal error in tracekmt: {type(error).__name__}: {str(error)[:200]}\n"
            "(please report it; TRACEKMT_DEBUG=1 prints the traceback)"
        )


def _fail(message: str) -> int:
    click.echo(f"tracekmt: {message}", err=True)
    return 2
