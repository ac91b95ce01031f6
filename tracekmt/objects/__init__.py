"""Identities and lifetimes of the objects in a recording."""
