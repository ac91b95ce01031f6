"""A newcomer's first minute: a live program that makes calls, recorded, replayed and compared."""
