"""Bytes to values and back, for one ABI, as the descriptions say.

Values have the form that the documentation calls the value form: a call's argument is a dict by Microsoft's names.
"""

from tracekmt.codec.decode import decode
from tracekmt.codec.encode import encode
from tracekmt.codec.values import Leaf, Unreadable, json_form, leaves, to_json

__all__ = ["Leaf", "Unreadable", "decode", "encode", "json_form", "leaves", "to_json"]
