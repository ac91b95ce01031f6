"""Commands whose help lists their options under headings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click


class GroupedOption(click.Option):
    """An option with a heading for the help of a `GroupedCommand`."""

    def __init__(self, *arguments: Any, heading: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command that lists each `GroupedOption` under its heading, and other options under "Options"."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the help; called by click."""
        by_heading: dict[str, list[tuple[str, str]]] = {}
        others: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is None:
                continue
            if isinstance(parameter, GroupedOption):
                by_heading.setdefault(parameter.heading, []).append(record)
            else:
                others.append(record)
        for heading, records in (*by_heading.items(), ("Options", others)):
            with formatter.section(heading):
                formatter.write_dl(records)


def option_under(heading: str) -> Callable[..., Callable[..., Any]]:
    """Return a replacement of `click.option` for options under a heading."""
    return partial(click.option, cls=GroupedOption, heading=heading)
