"""Overview of one trace: its numbers as plain data, and as a page with charts."""
