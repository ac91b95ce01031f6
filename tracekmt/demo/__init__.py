"""The demonstration: a live program is recorded, replayed and compared."""
