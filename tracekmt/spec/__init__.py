"""The description language: types, their layout in each ABI, and checks.

It does not depend on any function of the interface, and imports only `errors` from the rest of the package.
"""
