"""The text of a fault: FUNCTION@N=RESULT, FUNCTION@N+M=RESULT or FUNCTION=RESULT, with `if CONDITION` behind it."""

from __future__ import annotations

import re
from typing import NamedTuple

from tracekmt.errors import UsageError

EXAMPLE = "CreateDevice@2=STATUS_NO_MEMORY"

_FORM = re.compile(
    r"\s*(?P<target>adapter:[0-9a-fA-F]+:[0-9a-fA-F]+|[\w*?\[\]]+)\s*(?:@(?P<first>\d+)(?:\+(?P<step>\d+))?)?\s*="
    r"\s*(?P<result>\S.*?)(?:\s+if\s+(?P<condition>.+))?\s*"
)


class FaultText(NamedTuple):
    """The parts of a fault.

    Attributes:
        text: The fault as the user wrote it.
        target: Pattern of functions, or a part of the machine.
        first: Number of the first call. None for every call.
        step: Distance to each further call. None for the first call only.
        result: What happens.
        condition: Condition on the inputs, None without one.
    """

    text: str
    target: str
    first: int | None
    step: int | None
    result: str
    condition: str | None


def split_fault(text: object) -> FaultText:
    """Split a fault into its parts.

    Raises:
        UsageError: The text has another form.
    """
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UsageError(f"invalid fault: {text} (expected FUNCTION@N=STATUS, such as {EXAMPLE})")
    first, step = (None if match[part] is None else int(match[part]) for part in ("first", "step"))
    return FaultText(str(text), match["target"], first, step, match["result"], match["condition"])


def check_numbers(fault: FaultText) -> None:
    """Refuse a call number 0.

    Raises:
        UsageError: A number is 0.
    """
    if fault.first == 0 or fault.step == 0:
        raise UsageError(f"invalid fault: {fault.text} (calls of a function are counted from 1)")
