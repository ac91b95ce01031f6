"""The errors that reach a user: each is one or two plain lines that say where, what, and what to do."""

from __future__ import annotations


class Error(Exception):
    """Whatever tracekmt refuses or cannot do."""


class UsageError(Error):
    """The request itself cannot be carried out as it was made."""


class TraceError(Error):
    """A trace cannot be read, or not further."""


class RecordError(Error):
    """A process cannot be recorded, or not further."""


class DescriptionError(Error):
    """A description contradicts itself; the message says which one and what to mend."""
