"""Real thunks: a library that exports them, loaded into a separate process."""
