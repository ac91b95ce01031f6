"""Errors for users. Each message is one or two plain lines with the place, the problem, and the correction."""

from __future__ import annotations


class Error(Exception):
    """Base class of all errors that tracekmt raises on purpose."""


class UsageError(Error):
    """The request is not valid."""


class TraceError(Error):
    """A trace cannot be read, or only in part."""


class RecordError(Error):
    """A process cannot be recorded, or no longer."""


class DescriptionError(Error):
    """A description contradicts itself or is not supported. The message names the description and the correction."""
