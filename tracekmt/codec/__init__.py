"""Bytes to values and back, for one ABI, as the descriptions say.

Values have the form that the documentation calls the value form: a call's argument is a dict by Microsoft's names.
"""

from tracekmt.codec.bound_values import Finder, Place, finder
from tracekmt.codec.context import Frame, KindOf
from tracekmt.codec.decode import decode
from tracekmt.codec.encode import encode
from tracekmt.codec.json_form import json_form, to_json
from tracekmt.codec.values import (
    Leaf,
    Unreadable,
    holds,
    leaves,
    look_up,
    member_type,
    word,
)

__all__ = [
    "Finder",
    "Frame",
    "KindOf",
    "Leaf",
    "Place",
    "Unreadable",
    "decode",
    "encode",
    "finder",
    "holds",
    "json_form",
    "leaves",
    "look_up",
    "member_type",
    "to_json",
    "word",
]
