"""Output formats of reports, and views of traces for users."""
