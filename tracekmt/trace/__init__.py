"""The trace file: frames, events, reader, writer and index. Independent of the described functions."""
