"""Buffers between the target process and the recorder: shared memory, the connection, and files for overflow."""
