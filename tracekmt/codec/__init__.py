"""Conversion between bytes and values in one ABI, driven by descriptions.

Values have the documented value form: a call's argument is a dict with Microsoft's names as keys.
"""

from tracekmt.codec.bound_values import BoundLocation, BoundValueFinder, finder
from tracekmt.codec.context import KindOf, StructContext
from tracekmt.codec.decode import decode, decode_in_core, decode_recorded
from tracekmt.codec.encode import encode
from tracekmt.codec.json_form import json_form, to_json
from tracekmt.codec.selection import resolve
from tracekmt.codec.values import (
    FieldValue,
    Unreadable,
    common_direction,
    condition_holds,
    flags_to_int,
    is_truncated,
    iter_values,
    look_up,
    member_type,
)

__all__ = [
    "BoundLocation",
    "BoundValueFinder",
    "FieldValue",
    "KindOf",
    "StructContext",
    "Unreadable",
    "common_direction",
    "condition_holds",
    "decode",
    "decode_in_core",
    "decode_recorded",
    "encode",
    "finder",
    "flags_to_int",
    "is_truncated",
    "iter_values",
    "json_form",
    "look_up",
    "member_type",
    "resolve",
    "to_json",
]
