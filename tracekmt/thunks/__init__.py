"""The real thunks: a library that exports them, loaded in a process of its own."""
