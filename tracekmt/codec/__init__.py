"""Bytes to values and back, for one ABI, as the descriptions say.

Values have the form that the documentation calls the value form: a call's argument is a dict by Microsoft's names.
"""

from tracekmt.codec.bound_values import BoundLocation, BoundValueFinder, finder
from tracekmt.codec.context import KindOf, StructContext
from tracekmt.codec.decode import decode
from tracekmt.codec.encode import encode
from tracekmt.codec.json_form import json_form, to_json
from tracekmt.codec.values import (
    FieldValue,
    Unreadable,
    condition_holds,
    flags_to_int,
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
    "condition_holds",
    "decode",
    "encode",
    "finder",
    "flags_to_int",
    "iter_values",
    "json_form",
    "look_up",
    "member_type",
    "to_json",
]
