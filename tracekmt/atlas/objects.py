"""Names and data of the objects that the cases use."""

DATA = bytes(range(64))
NAME = "\\Sessions\\1\\BaseNamedObjects\\tracekmt-atlas"
