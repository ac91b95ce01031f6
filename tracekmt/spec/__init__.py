"""The description language: types, their layout in both ABIs, and checks.

It knows no function and imports nothing from the rest of the package.
"""
