"""Parts of HTML pages: escaped text, and the frame of a page that is one file and makes no requests."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from tracekmt.printable import printable


def escaped(text: object) -> str:
    """Return text for HTML, without characters that change the direction or the layout of other text."""
    return escape(printable(str(text)))


def document(title: str, style: str, body: str, script: str = "") -> str:
    """Return a page. Its policy forbids requests, and other styles and scripts than the given ones.

    Args:
        title: Title as plain text.
        style: CSS.
        body: HTML of the body.
        script: JavaScript at the end of the body, if any.
    """
    policy = f"default-src 'none'; style-src {_hash(style)}" + (f"; script-src {_hash(script)}" if script else "")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        + (f"<script>{script}</script>\n" if script else "")
        + "</body>\n</html>\n"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
