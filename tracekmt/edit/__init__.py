"""Creation of a trace from another one: copy, recover, redact and trim."""
