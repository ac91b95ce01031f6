"""Tables of a page. On a narrow page each row becomes a card, with the names of its columns beside its cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tracekmt.report.markup import escaped


class Markup(str):
    """HTML that is not escaped again."""

    __slots__ = ()


Cell = str | Markup

_CLASSES = {"#": "number", "~": "strip", "@": "index"}
_SHORT = 42
"""Characters of a text that a wide page does not break. Most names of functions and statuses have fewer."""


def markup(cell: Cell) -> str:
    """Return a cell as HTML."""
    return cell if isinstance(cell, Markup) else escaped(cell)


def _text_class(cell: Cell) -> str:
    return "short" if isinstance(cell, Markup) or len(cell) <= _SHORT else ""


def swatch(css_class: str) -> Markup:
    """Return a square or a line in the colour of a series."""
    return Markup(
        '<svg class="swatch" width="22" height="10" viewBox="0 0 22 10" aria-hidden="true">'
        f'<path class="{css_class}" d="M0 5H22"/></svg>'
    )


def named(css_class: str, name: str) -> Markup:
    """Return the name of a series after its colour."""
    return Markup(f"{swatch(css_class)} {escaped(name)}")


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table, an empty text without rows.

    Args:
        columns: Names of the columns. "#name" is a column of numbers, "~name" one of small charts, and
            "@name" one of indexes of calls.
        rows: The cells of each row.
    """
    classes = [_CLASSES.get(column[:1], "") for column in columns]
    names = [escaped(column.lstrip("#~@")) for column in columns]
    lines = []
    for row in rows:
        cells = (
            f'<td class="{css_class or _text_class(cell)}" data-name="{name}">{markup(cell)}</td>'
            for name, css_class, cell in zip(names, classes, row, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    if not lines:
        return ""
    head = "".join(
        f'<th class="{css_class}" scope="col">{name}</th>' for name, css_class in zip(names, classes, strict=True)
    )
    return f'<table class="cards"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
